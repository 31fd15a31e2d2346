/**
 * Which way the water goes, and how far it is. Pumps, check valves and whatever is marked as directed carry it from their first end to their
 * second. For everything else the file's drawing direction says nothing: water is taken to come the shortest way along open pipes from the
 * nearest source, so each pipe flows from the end that is nearer to one to the end that is further. In meshes the true direction changes with
 * the hour; a hydraulic model knows it, this does not.
 */
import FlatQueue from "flatqueue"
import { across, isOpen, type NetworkGraph, nodesOf, walk } from "./graph.ts"

/** Shortest distances in metres from some nodes; Infinity where there is no way. */
export interface Distances {
  readonly metres: Float64Array
  /** In which place a node was settled, from 0; -1 where there is no way. */
  readonly order: Int32Array
  /** By which link it was come to; -1 where the way begins. */
  readonly by: Int32Array
}

/** Dijkstra's algorithm from several nodes at once. */
export const distancesFrom = (
  graph: NetworkGraph,
  from: Iterable<number>,
  passes: (link: number, from: number, to: number) => boolean
): Distances => {
  const metres = new Float64Array(graph.nodeCount).fill(Infinity)
  const order = new Int32Array(graph.nodeCount).fill(-1)
  const by = new Int32Array(graph.nodeCount).fill(-1)
  const queue = new FlatQueue<number>()
  for (const node of from) {
    metres[node] = 0
    queue.push(node, 0)
  }
  let settled = 0
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    if (order[node] !== -1) continue
    order[node] = settled++
    const end = graph.start[node + 1]!
    for (let place = graph.start[node]!; place < end; place++) {
      const link = graph.links[place]!
      const other = across(graph, link, node)
      if (order[other] !== -1 || !passes(link, node, other)) continue
      const distance = metres[node]! + graph.length[link]!
      if (distance >= metres[other]!) continue
      metres[other] = distance
      by[other] = link
      queue.push(other, distance)
    }
  }
  return { metres, order, by }
}

/** Whether water can pass a link that way at all. */
export const carries =
  (graph: NetworkGraph) =>
  (link: number, from: number, to: number): boolean =>
    isOpen(graph, link, to) && (graph.directed[link] === 0 || graph.from[link] === from)

const orders = new WeakMap<NetworkGraph, Int32Array>()
/** In which order the water comes to the nodes; -1 where none comes. Once for a graph. */
export const arrival = (graph: NetworkGraph): Int32Array => {
  const known = orders.get(graph)
  if (known !== undefined) return known
  const { order } = distancesFrom(graph, graph.sources, carries(graph))
  orders.set(graph, order)
  return order
}

/** Whether water goes through a link from one node to the other. */
const flows = (graph: NetworkGraph) => {
  const order = arrival(graph)
  const can = carries(graph)
  return (link: number, from: number, to: number): boolean =>
    order[from]! >= 0 &&
    order[to]! >= 0 &&
    can(link, from, to) &&
    (graph.directed[link] === 1 || order[from]! < order[to]!)
}

/** Elements, without the one asked about: nodes in their order, then links. */
const elementsOf = (
  graph: NetworkGraph,
  seen: Uint8Array,
  asked: number,
  holds: (link: number, from: number, to: number) => boolean
): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (let node = 0; node < graph.nodeCount; node++) if (seen[node] === 1 && node !== asked) found.push(node)
  for (let link = 0; link < graph.linkCount; link++)
    if (graph.nodeCount + link !== asked && holds(link, graph.from[link]!, graph.to[link]!))
      found.push(graph.nodeCount + link)
  return found
}

/** Nodes to which the water of an element comes first: itself, or the lower end of a link. */
const below = (graph: NetworkGraph, element: number, flow: ReturnType<typeof flows>): ReadonlyArray<number> => {
  const link = element - graph.nodeCount
  const [a, b] = nodesOf(graph, element)
  return b === undefined ? [a!] : [...(flow(link, a!, b) ? [b] : []), ...(flow(link, b, a!) ? [a!] : [])]
}

/** All that the water of an element goes through after it. */
export const downstream = (graph: NetworkGraph, element: number): ReadonlyArray<number> => {
  const flow = flows(graph)
  const seen = walk(graph, { from: below(graph, element, flow), passes: flow })
  return elementsOf(
    graph,
    seen,
    element,
    (one, from, to) => (seen[from] === 1 && flow(one, from, to)) || (seen[to] === 1 && flow(one, to, from))
  )
}

/**
 * The first `most` of `downstream` by the metres to where they begin, nodes and links. Looks no further than those, so that it costs what it finds.
 */
export const nearestDownstream = (graph: NetworkGraph, element: number, most: number): ReadonlyArray<number> => {
  const flow = flows(graph)
  const metres = new Map(below(graph, element, flow).map((node) => [node, 0]))
  const settled = new Set<number>()
  const found: Array<number> = []
  const queue = new FlatQueue<number>()
  for (const node of metres.keys()) queue.push(node, 0)
  for (let node = queue.pop(); node !== undefined && found.length < most; node = queue.pop()) {
    if (settled.has(node)) continue
    settled.add(node)
    if (node !== element) found.push(node)
    const end = graph.start[node + 1]!
    for (let place = graph.start[node]!; place < end && found.length < most; place++) {
      const link = graph.links[place]!
      const other = across(graph, link, node)
      if (!flow(link, node, other)) continue
      if (graph.nodeCount + link !== element) found.push(graph.nodeCount + link)
      const distance = metres.get(node)! + graph.length[link]!
      if (distance >= (metres.get(other) ?? Infinity)) continue
      metres.set(other, distance)
      queue.push(other, distance)
    }
  }
  return found
}

/** All that water has come through before an element. */
export const upstream = (graph: NetworkGraph, element: number): ReadonlyArray<number> => {
  const flow = flows(graph)
  const back = (link: number, from: number, to: number) => flow(link, to, from)
  const link = element - graph.nodeCount
  const [a, b] = nodesOf(graph, element)
  const begin = b === undefined ? [a!] : [...(flow(link, a!, b) ? [a!] : []), ...(flow(link, b, a!) ? [b] : [])]
  const seen = walk(graph, { from: begin, passes: back })
  return elementsOf(
    graph,
    seen,
    element,
    (one, from, to) => (seen[to] === 1 && flow(one, from, to)) || (seen[from] === 1 && flow(one, to, from))
  )
}

/** All that hangs together with an element by what is open, whichever way water goes. */
export const connected = (graph: NetworkGraph, element: number): ReadonlyArray<number> => {
  const open = (link: number, _: number, to: number) => isOpen(graph, link, to)
  const seen = walk(graph, { from: nodesOf(graph, element), passes: open })
  return elementsOf(
    graph,
    seen,
    element,
    (link, from, to) => graph.closed[graph.nodeCount + link] === 0 && seen[from] === 1 && seen[to] === 1
  )
}

export interface Route {
  /** Metres along the pipes, between the nearest ends. */
  readonly metres: number
  /** Elements on the way, the two asked about first and last. */
  readonly elements: ReadonlyArray<number>
}

/** The shortest way along the pipes, open or closed: for listening, digging and driving. Undefined where there is none. */
export const route = (graph: NetworkGraph, from: number, to: number): Route | undefined => {
  if (from === to) return { metres: 0, elements: [from] }
  const { by, metres } = distancesFrom(graph, nodesOf(graph, from), () => true)
  const nearest = nodesOf(graph, to).reduce((best, node) => (metres[node]! < metres[best]! ? node : best))
  if (metres[nearest] === Infinity) return undefined
  const back: Array<number> = nearest === to ? [] : [to]
  for (let node = nearest; ;) {
    back.push(node)
    const link = by[node]!
    if (link === -1) break
    // The way to a link may lead through it.
    if (graph.nodeCount + link !== to) back.push(graph.nodeCount + link)
    node = across(graph, link, node)
  }
  if (back.at(-1) !== from) back.push(from)
  return { metres: metres[nearest]!, elements: back.toReversed() }
}
