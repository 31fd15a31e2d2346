/**
 * Networks: a made-up town of streets in a grid, 50,625 junctions and about 100,000 pipes and valves, in one process. CPU milliseconds, medians of
 * nine rounds, for this machine is rarely alone. The floor is a plain breadth-first walk over the same links as objects.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { connected, downstream, isolate, readNetwork, route, upstream } from "@mahalla/core"
import { buildGraph } from "../packages/core/src/modules/network/graph.ts"
import { encodeTile } from "../packages/core/src/modules/network/tiles.ts"
import { figure, interleave, median, report, type Sample } from "./measure.ts"

const side = 225

/** Four links of ten are valves; one source in the corner. */
const townFile = (): Buffer => {
  const [points, pipes, valves]: [Array<string>, Array<string>, Array<string>] = [[], [], []]
  const link = (from: string, to: string) => {
    const number = pipes.length + valves.length
    if ((number * 7919) % 10 < 4) valves.push(` v${number} ${from} ${to} 100 TCV 0 0`)
    else pipes.push(` p${number} ${from} ${to} 40 100 130 0 Open`)
  }
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      points.push(` n${x}_${y} 10 0.1`)
      if (x + 1 < side) link(`n${x}_${y}`, `n${x + 1}_${y}`)
      if (y + 1 < side) link(`n${x}_${y}`, `n${x}_${y + 1}`)
    }
  link("R", "n0_0")
  const sections = ["[JUNCTIONS]", ...points, "[RESERVOIRS]", " R 100", "[PIPES]", ...pipes, "[VALVES]", ...valves]
  return Buffer.from(sections.join("\n"))
}

const measured = <A>(work: () => A): { readonly cpu: number; readonly value: A } => {
  const before = process.cpuUsage()
  const value = work()
  const { system, user } = process.cpuUsage(before)
  return { cpu: (system + user) / 1000, value }
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const rounds = Number(args.find((arg) => arg.startsWith("--rounds="))?.split("=")[1] ?? 9)
  const bytes = townFile()
  const before = process.cpuUsage()
  const file = await Effect.runPromise(readNetwork(Stream.make(bytes), "epanet"))
  const parsing = process.cpuUsage(before)
  figure(
    "network",
    `reading ${Math.round(bytes.length / 1e6)} MB of EPANET`,
    "ms",
    (parsing.user + parsing.system) / 1000
  )
  const asset = { closed: false, operable: true, customers: 1, demand: 0.1 } as const
  const nodes = file.points.map(({ externalId, kind }) => ({ ...asset, id: externalId, kind }))
  const links = file.lines.map(({ directed, externalId, from, kind, length, to }) => ({
    ...asset,
    ...{ id: externalId, kind, from, to, directed },
    length: length ?? 0
  }))
  const built = measured(() => buildGraph(nodes, links))
  figure("network", "building the graph", "ms", built.cpu)
  const graph = built.value
  const middle = graph.elementOf(
    file.lines.find(({ from, kind }) => kind === "pipe" && from === "n112_112")!.externalId
  )!
  const corner = graph.elementOf(`n${side - 1}_${side - 1}`)!
  const neighbours = new Map(nodes.map(({ id }) => [id, [] as Array<string>]))
  for (const { from, to } of links) {
    neighbours.get(from)!.push(to)
    neighbours.get(to)!.push(from)
  }
  const plain = () => {
    const seen = new Set(["R"])
    for (const id of seen) for (const next of neighbours.get(id)!) seen.add(next)
    return seen.size
  }
  const row = {
    id: "p",
    shape: "line",
    kind: "pipe",
    externalId: "p",
    status: "open",
    diameter: 100,
    material: null
  } as const
  const street = Array.from({ length: 5_000 }, (_, place) => {
    const longitude = 69.28 + (place % 70) * 0.0003
    const latitude = 41.31 + Math.floor(place / 70) * 0.0003
    return {
      ...row,
      longitude,
      latitude,
      coordinates: [
        [longitude, latitude],
        [longitude + 0.0003, latitude]
      ] as const
    }
  })
  const tasks: Readonly<Record<string, () => unknown>> = {
    isolate: () => isolate(graph, middle),
    upstream: () => upstream(graph, middle),
    downstream: () => downstream(graph, middle),
    connected: () => connected(graph, middle),
    route: () => route(graph, 0, corner),
    "a tile of 5,000 lines": () => encodeTile(street, { z: 14, x: 11345, y: 6123 })
  }
  const slice = (work: () => unknown) => async (): Promise<Sample> => ({ ms: measured(work).cpu })
  const samples = await interleave(
    {
      floor: slice(plain),
      ...Object.fromEntries(Object.entries(tasks).map(([name, work]) => [name, slice(work)]))
    } as Readonly<Record<string, () => Promise<Sample>>>,
    rounds
  )
  const renamed = (metric: string, of: ReadonlyArray<Sample>) => of.map(({ ms }) => ({ [metric]: ms ?? 0 }))
  for (const name of Object.keys(tasks)) {
    if (name.startsWith("a tile")) figure("network", name, "ms", median(samples[name]!.map(({ ms = 0 }) => ms)))
    else
      report({
        bench: "network",
        metric: name,
        unit: "ms",
        ours: renamed(name, samples[name]!),
        floor: renamed(name, samples["floor"]!),
        against: "a breadth-first walk over objects",
        better: "lower"
      })
  }
}
