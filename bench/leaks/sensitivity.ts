/**
 * What a leak at each junction would do to each sensor, out of the hydraulic model as it stands in the file (not of the town that is
 * simulated, which differs from it).
 */
import { LinkProperty, NodeProperty } from "./epanet.ts"
import { emitterOf, openNetwork, ownDemands, run, stepsPerDay } from "./network.ts"
import type { Site } from "./simulate.ts"

export interface Sensitivity {
  /** Junctions' names. */
  readonly places: ReadonlyArray<string>
  /** For each place the change per m³/h of leak: pressures in m, flows in m³/h, in the site's order. */
  readonly effects: ReadonlyArray<Float64Array>
}

/** At three in the morning of a Wednesday, with a hole of about 5 m³/h. */
export const sensitivity = async (site: Site): Promise<Sensitivity> => {
  const network = await openNetwork(site.path)
  const { project } = network
  const demand = new Float64Array(network.junctions.length)
  for (const { base, junction, pattern } of network.demands)
    demand[junction]! += base * pattern[(2 * stepsPerDay + 36) % pattern.length]!
  const patterns = ownDemands(network)
  patterns.forEach((pattern, place) => project.setPattern(pattern, [demand[place]!]))
  const pressures = site.pressures.map((id) => project.getNodeIndex(id))
  const flows = site.flows.map((id) => project.getLinkIndex(id))
  const solve = (): Float64Array => {
    let seen: Float64Array | undefined
    run(
      network,
      1 / stepsPerDay,
      () => {},
      () => {
        seen ??= Float64Array.from([
          ...pressures.map((node) => project.getNodeValue(node, NodeProperty.Pressure)),
          ...flows.map((link) => project.getLinkValue(link, LinkProperty.Flow))
        ])
      }
    )
    return seen!
  }
  const calm = solve()
  const hole = emitterOf(0.01)
  const effects = network.junctions.map((node) => {
    project.setNodeValue(node, NodeProperty.Emitter, hole)
    const leaking = solve()
    const flow = hole * Math.sqrt(Math.max(1, project.getNodeValue(node, NodeProperty.Pressure)))
    project.setNodeValue(node, NodeProperty.Emitter, 0)
    const effect = leaking.map((value, place) => (value - calm[place]!) / flow)
    // At once a tank pays for what leaks behind it; over days its pump does.
    const pump = site.pressures.length + site.flows.findIndex((id) => id.startsWith("PUMP"))
    const inlets = effect.subarray(site.pressures.length, pump)
    effect[pump] = 1 - inlets.reduce((sum, value) => sum + value, 0)
    return effect
  })
  const places = network.junctions.map((node) => project.getNodeId(node))
  project.close()
  return { places, effects }
}
