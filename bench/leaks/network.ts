/**
 * A water network of an EPANET `.inp` file, ready to be run step by step with demands and leaks of our own. Nothing of the file stays in
 * the project: it is read where it lies.
 */
import { readFileSync } from "node:fs"
import {
  CountType,
  hydraulics,
  LinkProperty,
  LinkType,
  NodeProperty,
  NodeType,
  openProject,
  type Project,
  TimeParameter
} from "./epanet.ts"

export interface Pipe {
  readonly id: string
  readonly from: number
  readonly to: number
  /** Metres. */
  readonly length: number
  readonly index: number
}

export interface Network {
  readonly project: Project
  /** EPANET's index of each junction (reservoirs and tanks have no demand). */
  readonly junctions: ReadonlyArray<number>
  readonly pipes: ReadonlyArray<Pipe>
  readonly place: (node: number) => { readonly x: number; readonly y: number }
  /** Demands as the file has them: junction, base, pattern (its values). */
  readonly demands: ReadonlyArray<{
    readonly junction: number
    readonly base: number
    readonly pattern: ReadonlyArray<number>
  }>
}

/** Seconds between readings and between hydraulic steps. */
export const stepSeconds = 300
export const stepsPerDay = 86_400 / stepSeconds

export const openNetwork = async (path: string): Promise<Network> => {
  const project = await openProject(readFileSync(path, "utf8"))
  const count = (type: number) => Array.from({ length: project.getCount(type) }, (_, index) => index + 1)
  const junctions = count(CountType.NodeCount).filter((node) => project.getNodeType(node) === NodeType.Junction)
  const pipes = count(CountType.LinkCount)
    .filter((link) => project.getLinkType(link) === LinkType.Pipe)
    .map((link) => {
      const { node1, node2 } = project.getLinkNodes(link)
      return {
        id: project.getLinkId(link),
        from: node1,
        to: node2,
        length: project.getLinkValue(link, LinkProperty.Length),
        index: link
      }
    })
  const patterns = new Map(
    count(CountType.PatCount).map((pattern) => [
      pattern,
      Array.from({ length: project.getPatternLength(pattern) }, (_, period) =>
        project.getPatternValue(pattern, period + 1)
      )
    ])
  )
  const demands = junctions.flatMap((junction, place) =>
    Array.from({ length: project.getNumberOfDemands(junction) }, (_, number) => ({
      junction: place,
      base: project.getBaseDemand(junction, number + 1),
      pattern: patterns.get(project.getDemandPattern(junction, number + 1)) ?? [1]
    })).filter(({ base }) => base > 0)
  )
  return { project, junctions, pipes, place: (node) => project.getCoordinates(node), demands }
}

/** Gives every junction one demand of 1 with a pattern of a day of its own, which `setDay` then writes. */
export const ownDemands = ({ project, junctions }: Network): ReadonlyArray<number> =>
  junctions.map((junction, place) => {
    while (project.getNumberOfDemands(junction) > 0) project.deleteDemand(junction, 1)
    const name = `own-${place}`
    project.addPattern(name)
    project.addDemand(junction, 1, name, "")
    return project.getPatternIndex(name)
  })

/** A junction in the middle of a pipe, where it may leak; EPANET's index of it. */
export const splitPipe = ({ project }: Network, id: string): number => {
  const link = project.getLinkIndex(id)
  const { node1, node2 } = project.getLinkNodes(link)
  const half = project.getLinkValue(link, LinkProperty.Length) / 2
  const name = `leak-${id}`
  const node = project.addNode(name, NodeType.Junction)
  const elevation =
    (project.getNodeValue(node1, NodeProperty.Elevation) + project.getNodeValue(node2, NodeProperty.Elevation)) / 2
  project.setNodeValue(node, NodeProperty.Elevation, elevation)
  const second = project.addLink(`${name}-2`, LinkType.Pipe, name, project.getNodeId(node2))
  for (const property of [LinkProperty.Diameter, LinkProperty.Roughness])
    project.setLinkValue(second, property, project.getLinkValue(link, property))
  project.setLinkValue(second, LinkProperty.Length, half)
  project.setLinkNodes(link, node1, node)
  project.setLinkValue(link, LinkProperty.Length, half)
  return node
}

/**
 * EPANET's emitter coefficient (m³/h at √m) of a round hole: orifice flow with the discharge coefficient 0.75 that the contest's own
 * generator takes.
 */
export const emitterOf = (diameter: number): number =>
  0.75 * ((Math.PI * diameter * diameter) / 4) * Math.sqrt(2 * 9.80665) * 3_600

/** Runs the opened project for `days` days; `before` may change it ahead of every step, `after` reads it. */
export const run = (
  { project }: Network,
  days: number,
  before: (step: number) => void,
  after: (step: number) => void
): void => {
  project.setTimeParameter(TimeParameter.Duration, days * 86_400)
  project.setTimeParameter(TimeParameter.HydStep, stepSeconds)
  project.setTimeParameter(TimeParameter.PatternStep, stepSeconds)
  project.setTimeParameter(TimeParameter.ReportStep, stepSeconds)
  let prepared = -1
  hydraulics(
    project,
    (now) => {
      const step = Math.floor(now / stepSeconds)
      if (step >= days * stepsPerDay) return false
      if (step > prepared) before((prepared = step))
      return true
    },
    (now) => {
      // Between two of our steps stand those in which a tank fills or a control acts.
      if (now % stepSeconds === 0) after(now / stepSeconds)
    }
  )
}
