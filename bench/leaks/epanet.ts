/**
 * The parts of EPANET's toolkit that the simulation calls, with EPANET's own numbers (epanet2_enums.h). The package's declarations cannot
 * be resolved under NodeNext.
 */
import * as epanet from "epanet-js"

export const CountType = { NodeCount: 0, LinkCount: 2, PatCount: 3 } as const
export const NodeType = { Junction: 0 } as const
export const LinkType = { Pipe: 1 } as const
export const NodeProperty = { Elevation: 0, Emitter: 3, TankLevel: 8, Pressure: 11 } as const
export const LinkProperty = { Diameter: 0, Length: 1, Roughness: 2, Flow: 8 } as const
export const TimeParameter = { Duration: 0, HydStep: 1, PatternStep: 3, ReportStep: 5, HTime: 11 } as const
const noSave = 0

export interface Project {
  open(input: string, report: string, output: string): void
  close(): void
  getCount(type: number): number
  getNodeType(node: number): number
  getLinkType(link: number): number
  getNodeId(node: number): string
  getLinkId(link: number): string
  getNodeIndex(id: string): number
  getLinkIndex(id: string): number
  getLinkNodes(link: number): { readonly node1: number; readonly node2: number }
  setLinkNodes(link: number, from: number, to: number): void
  getNodeValue(node: number, property: number): number
  setNodeValue(node: number, property: number, value: number): void
  getLinkValue(link: number, property: number): number
  setLinkValue(link: number, property: number, value: number): void
  addNode(id: string, type: number): number
  addLink(id: string, type: number, from: string, to: string): number
  getCoordinates(node: number): { readonly x: number; readonly y: number }
  getNumberOfDemands(node: number): number
  getBaseDemand(node: number, demand: number): number
  getDemandPattern(node: number, demand: number): number
  addDemand(node: number, base: number, pattern: string, name: string): void
  deleteDemand(node: number, demand: number): void
  addPattern(id: string): void
  getPatternIndex(id: string): number
  getPatternLength(pattern: number): number
  getPatternValue(pattern: number, period: number): number
  setPattern(pattern: number, values: ReadonlyArray<number>): void
  getTimeParameter(parameter: number): number
  setTimeParameter(parameter: number, value: number): void
  openH(): void
  initH(flag: number): void
  /** Seconds since the beginning. */
  runH(): number
  /** Seconds until the next step; 0 at the end. */
  nextH(): number
  closeH(): void
}

interface Workspace {
  loadModule(): Promise<void>
  writeFile(name: string, text: string): void
}

const library = epanet as unknown as {
  readonly Workspace: new () => Workspace
  readonly Project: new (workspace: Workspace) => Project
}

/** An `.inp` file's text, opened. */
export const openProject = async (text: string): Promise<Project> => {
  const workspace = new library.Workspace()
  await workspace.loadModule()
  const project = new library.Project(workspace)
  workspace.writeFile("network.inp", text)
  project.open("network.inp", "report.txt", "out.bin")
  return project
}

/** Runs until the end; `before` may change it ahead of each step, `after` reads it. */
export const hydraulics = (project: Project, before: (now: number) => boolean, after: (now: number) => void): void => {
  project.openH()
  project.initH(noSave)
  while (before(project.getTimeParameter(TimeParameter.HTime))) {
    after(project.runH())
    if (project.nextH() === 0) break
  }
  project.closeH()
}
