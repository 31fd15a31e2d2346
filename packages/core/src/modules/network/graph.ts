/**
 * A network in memory as flat arrays: a hundred thousand pipes are some tens of megabytes and are walked in milliseconds. Elements are numbers:
 * first the nodes (0 up to and without `nodeCount`), then the links.
 */
import type { AssetKind } from "./model.ts"

export interface GraphAsset {
  readonly id: string
  readonly kind: AssetKind
  readonly closed: boolean
  readonly operable: boolean
  readonly customers: number
  /** m³/h. */
  readonly demand: number
}

export interface GraphLink extends GraphAsset {
  /** Ids of nodes; a link without both is left out. */
  readonly from: string
  readonly to: string
  /** Metres. */
  readonly length: number
  readonly directed: boolean
}

export interface NetworkGraph {
  readonly nodeCount: number
  readonly linkCount: number
  /** Ids of elements. */
  readonly ids: ReadonlyArray<string>
  readonly elementOf: (id: string) => number | undefined
  readonly kinds: ReadonlyArray<AssetKind>
  /** 1 where it lets nothing through. */
  readonly closed: Uint8Array
  /** 1 for valves that can be moved. */
  readonly closable: Uint8Array
  /** Nodes at which water comes in: reservoirs and tanks. */
  readonly sources: Int32Array
  readonly customers: Int32Array
  readonly demand: Float64Array
  /** By link, counted from 0. */
  readonly from: Int32Array
  readonly to: Int32Array
  readonly length: Float64Array
  readonly directed: Uint8Array
  /** Links of node n: `links[start[n]]` up to and without `links[start[n + 1]]`. */
  readonly start: Int32Array
  readonly links: Int32Array
}

/** The node at the other end. */
export const across = (graph: NetworkGraph, link: number, node: number): number =>
  graph.from[link] === node ? graph.to[link]! : graph.from[link]!

export const buildGraph = (nodes: ReadonlyArray<GraphAsset>, given: ReadonlyArray<GraphLink>): NetworkGraph => {
  const elements = new Map<string, number>()
  for (const { id } of nodes) elements.set(id, elements.size)
  const joined = given.filter(({ from, to }) => elements.has(from) && elements.has(to))
  const nodeCount = nodes.length
  const linkCount = joined.length
  const from = Int32Array.from(joined, (link) => elements.get(link.from)!)
  const to = Int32Array.from(joined, (link) => elements.get(link.to)!)
  for (const { id } of joined) elements.set(id, elements.size)
  const start = new Int32Array(nodeCount + 1)
  for (let link = 0; link < linkCount; link++) {
    start[from[link]! + 1]!++
    start[to[link]! + 1]!++
  }
  for (let node = 0; node < nodeCount; node++) start[node + 1]! += start[node]!
  const next = start.slice(0, nodeCount)
  const links = new Int32Array(linkCount * 2)
  for (let link = 0; link < linkCount; link++) {
    links[next[from[link]!]!++] = link
    links[next[to[link]!]!++] = link
  }
  const all: ReadonlyArray<GraphAsset> = [...nodes, ...joined]
  return {
    nodeCount,
    linkCount,
    ids: all.map(({ id }) => id),
    elementOf: (id) => elements.get(id),
    kinds: all.map(({ kind }) => kind),
    closed: Uint8Array.from(all, ({ closed }) => (closed ? 1 : 0)),
    closable: Uint8Array.from(all, ({ kind, operable }) => (kind === "valve" && operable ? 1 : 0)),
    sources: Int32Array.from(
      nodes.flatMap(({ kind }, node) => (kind === "reservoir" || kind === "tank" ? [node] : []))
    ),
    customers: Int32Array.from(all, ({ customers }) => customers),
    demand: Float64Array.from(all, ({ demand }) => demand),
    from,
    to,
    length: Float64Array.from(joined, ({ length }) => length),
    directed: Uint8Array.from(joined, ({ directed }) => (directed ? 1 : 0)),
    start,
    links
  }
}

export interface Walk {
  /** Where it begins; these are entered whatever stands in them. */
  readonly from: Iterable<number>
  /** Whether water, or the walk, passes a link from one node to the other. */
  readonly passes: (link: number, from: number, to: number) => boolean
  /** Whether the walk goes on from a node that it has come to. Default: from every one. */
  readonly enters?: (node: number) => boolean
}

/** Nodes that a walk comes to, 1 each. */
export const walk = (graph: NetworkGraph, { enters, from, passes }: Walk): Uint8Array => {
  const seen = new Uint8Array(graph.nodeCount)
  const queue = new Int32Array(graph.nodeCount)
  let tail = 0
  for (const node of from)
    if (seen[node] === 0) {
      seen[node] = 1
      queue[tail++] = node
    }
  const { links, start } = graph
  for (let head = 0; head < tail; head++) {
    const node = queue[head]!
    const end = start[node + 1]!
    for (let place = start[node]!; place < end; place++) {
      const link = links[place]!
      const other = across(graph, link, node)
      if (seen[other] !== 0 || !passes(link, node, other) || enters?.(other) === false) continue
      seen[other] = 1
      queue[tail++] = other
    }
  }
  return seen
}

/** Nodes at an element: itself, or a link's ends. */
export const nodesOf = (graph: NetworkGraph, element: number): ReadonlyArray<number> =>
  element < graph.nodeCount ? [element] : [graph.from[element - graph.nodeCount]!, graph.to[element - graph.nodeCount]!]

/** Whether a link and the node behind it are open. */
export const isOpen = (graph: NetworkGraph, link: number, node: number): boolean =>
  graph.closed[graph.nodeCount + link] === 0 && graph.closed[node] === 0
