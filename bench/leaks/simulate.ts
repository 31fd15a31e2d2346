/**
 * Runs a town with and without leaks and keeps what its sensors would have seen under `.cache/leaks`: exact values, one file for each
 * run, onto which `readings.ts` puts the sensors' own noise.
 */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { LinkProperty, NodeProperty } from "./epanet.ts"
import { makeTown } from "./demand.ts"
import { emitterOf, openNetwork, ownDemands, run, splitPipe, stepSeconds, stepsPerDay } from "./network.ts"

export interface Leak {
  readonly pipe: string
  /** Seconds since 1 January 2017, local time. */
  readonly start: number
  /** From `start` on the hole's diameter grows evenly until here; the same as `start` for a burst. */
  readonly peak: number
  /** Metres. */
  readonly diameter: number
}

export interface Site {
  readonly path: string
  readonly pressures: ReadonlyArray<string>
  readonly flows: ReadonlyArray<string>
  readonly tank: string
}

export interface Run {
  readonly seed: number
  /** Days since 1 January 2017, and how many. */
  readonly from: number
  readonly days: number
  readonly leaks: ReadonlyArray<Leak>
  /** Metres in the tank at the beginning. Default: as in the file. */
  readonly level?: number
}

/** One row per five minutes: pressures in m, flows in m³/h, the tank's level in m, each leak's flow in m³/h. */
export interface Trace {
  readonly from: number
  readonly days: number
  readonly width: number
  readonly values: Float32Array
}

const cache = join(import.meta.dirname, "../../.cache/leaks")
/** Part of every file's name: another one after a change of the simulation. */
const edition = 1

export const holeAt = ({ diameter, peak, start }: Leak, seconds: number): number =>
  seconds < start ? 0 : seconds >= peak ? diameter : (diameter * (seconds - start)) / (peak - start)

export const simulate = async (site: Site, asked: Run): Promise<Trace> => {
  const width = site.pressures.length + site.flows.length + 1 + asked.leaks.length
  const name = createHash("sha256")
    .update(JSON.stringify([edition, readFileSync(site.path, "utf8"), { ...site, path: "" }, asked]))
    .digest("hex")
    .slice(0, 24)
  const file = join(cache, `${name}.bin`)
  const trace = (values: Float32Array): Trace => ({ from: asked.from, days: asked.days, width, values })
  if (existsSync(file)) {
    const bytes = readFileSync(file)
    return trace(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4))
  }
  const network = await openNetwork(site.path)
  const { project } = network
  const town = makeTown(network, asked.seed)
  network.pipes.forEach(({ index }, place) =>
    project.setLinkValue(
      index,
      LinkProperty.Roughness,
      project.getLinkValue(index, LinkProperty.Roughness) * town.roughness[place]!
    )
  )
  const patterns = ownDemands(network)
  const holes = asked.leaks.map(({ pipe }) => splitPipe(network, pipe))
  const tank = project.getNodeIndex(site.tank)
  if (asked.level !== undefined) project.setNodeValue(tank, NodeProperty.TankLevel, asked.level)
  const pressures = site.pressures.map((id) => project.getNodeIndex(id))
  const flows = site.flows.map((id) => project.getLinkIndex(id))
  const values = new Float32Array(asked.days * stepsPerDay * width)
  run(
    network,
    asked.days,
    (step) => {
      if (step % stepsPerDay === 0)
        town
          .day(asked.from + step / stepsPerDay)
          .forEach((day, place) => project.setPattern(patterns[place]!, [...day]))
      const seconds = asked.from * 86_400 + step * stepSeconds
      holes.forEach((node, number) =>
        project.setNodeValue(node, NodeProperty.Emitter, emitterOf(holeAt(asked.leaks[number]!, seconds)))
      )
    },
    (step) => {
      const row = step * width
      if (row >= values.length) return
      pressures.forEach((node, place) => (values[row + place] = project.getNodeValue(node, NodeProperty.Pressure)))
      flows.forEach(
        (link, place) => (values[row + pressures.length + place] = project.getLinkValue(link, LinkProperty.Flow))
      )
      values[row + pressures.length + flows.length] = project.getNodeValue(tank, NodeProperty.Pressure)
      // Not `Demand`, which holds EPANET's first guess of 1 ft³/s as long as the emitter is 0.
      holes.forEach(
        (node, place) =>
          (values[row + width - holes.length + place] =
            emitterOf(holeAt(asked.leaks[place]!, asked.from * 86_400 + step * stepSeconds)) *
            Math.sqrt(Math.max(0, project.getNodeValue(node, NodeProperty.Pressure))))
      )
    }
  )
  project.close()
  mkdirSync(cache, { recursive: true })
  const part = `${file}.${process.pid}`
  writeFileSync(part, values)
  renameSync(part, file)
  return trace(values)
}
