/**
 * Which valves shut an asset off, and who is without water then.
 *
 * Found as crews work: from the asset outwards through everything that is open, up to the first valve that can be moved on each way. Closed
 * valves and pipes hold; a valve that is stuck open does not, and the next one behind it is taken. Check valves and pumps do not count as
 * closed, for nobody should stand in a trench behind one. Of the valves found, those behind which no water stands anyway stay open, so that
 * the answer is the smallest set of them that does it: leave any one open and water comes.
 */
import { across, isOpen, type NetworkGraph, nodesOf, walk } from "./graph.ts"
import { arrival, carries } from "./trace.ts"

export interface Isolation {
  /** False where no valve lies between a source and the asset: then the valves do not shut it off. */
  readonly isolated: boolean
  /** Elements to close. */
  readonly close: ReadonlyArray<number>
  /** Valves that hold already and must stay closed. */
  readonly keepClosed: ReadonlyArray<number>
  /** Open valves that cannot be moved, and were passed by. */
  readonly stuck: ReadonlyArray<number>
  /** Sources that only digging or emptying would shut off. */
  readonly sources: ReadonlyArray<number>
  /** Elements between the valves, with the asset itself: what is emptied. */
  readonly segment: ReadonlyArray<number>
  /** Elements that have water now and then have none; of links those that have it at neither end. */
  readonly withoutWater: ReadonlyArray<number>
  readonly customers: number
  readonly meters: number
  /** m³/h. */
  readonly demand: number
}

/** `unmovable`: elements of valves that are known to be stuck besides those that are marked. */
export const isolate = (
  graph: NetworkGraph,
  element: number,
  unmovable: ReadonlySet<number> = new Set()
): Isolation => {
  const { closed, nodeCount } = graph
  const movable = (one: number) =>
    one !== element && graph.closable[one] === 1 && closed[one] === 0 && !unmovable.has(one)
  const edge = new Set<number>()
  const segment = walk(graph, {
    from: nodesOf(graph, element),
    passes: (link, from) => {
      const one = nodeCount + link
      // A valve that stands as a point is walked to and not through.
      if (closed[one] === 1 || (from !== element && (closed[from] === 1 || movable(from)))) return false
      if (movable(one)) edge.add(one)
      return !movable(one)
    }
  })
  const inside = (node: number) => segment[node] === 1 && (node === element || !(movable(node) || closed[node] === 1))
  for (let node = 0; node < nodeCount; node++) if (segment[node] === 1 && movable(node)) edge.add(node)

  const shut = (valves: ReadonlySet<number>) => ({
    passes: (link: number, to: number) => isOpen(graph, link, to) && !valves.has(nodeCount + link),
    enters: (node: number) => !valves.has(node)
  })
  const around = shut(edge)
  const wet = walk(graph, {
    from: [...graph.sources].filter((node) => !inside(node)),
    passes: (link, _, to) => around.passes(link, to) && !inside(to),
    enters: around.enters
  })
  const linksAt = (node: number) => graph.links.subarray(graph.start[node], graph.start[node + 1])
  const bringsWater = (one: number) =>
    one >= nodeCount
      ? nodesOf(graph, one).some((node) => wet[node] === 1)
      : linksAt(one).some(
          (link) => closed[nodeCount + link] === 0 && !edge.has(nodeCount + link) && wet[across(graph, link, one)] === 1
        )
  const close = [...edge].filter(bringsWater).sort((a, b) => a - b)

  const carry = carries(graph)
  const order = arrival(graph)
  const before = (node: number) => order[node]! >= 0
  const after = shut(new Set(close))
  const fed = walk(graph, {
    from: graph.sources,
    passes: (link, from, to) => carry(link, from, to) && after.passes(link, to),
    enters: after.enters
  })

  const within: Array<number> = []
  const dry: Array<number> = []
  const keepClosed: Array<number> = []
  const stuck: Array<number> = []
  const isValve = (one: number) => graph.kinds[one] === "valve"
  for (let node = 0; node < nodeCount; node++) {
    if (inside(node)) within.push(node)
    if (segment[node] === 1 && isValve(node) && node !== element) {
      if (closed[node] === 1) keepClosed.push(node)
      else if (!movable(node)) stuck.push(node)
    }
    if (before(node) && fed[node] === 0) dry.push(node)
  }
  for (let link = 0; link < graph.linkCount; link++) {
    const one = nodeCount + link
    const [a, b] = [graph.from[link]!, graph.to[link]!]
    if (one === element || (closed[one] === 0 && (edge.has(one) ? inside(a) && inside(b) : inside(a) || inside(b))))
      within.push(one)
    if (one !== element && isValve(one) && (inside(a) || inside(b))) {
      if (closed[one] === 1) keepClosed.push(one)
      else if (!movable(one)) stuck.push(one)
    }
    if ((before(a) || before(b)) && fed[a] === 0 && fed[b] === 0) dry.push(one)
  }
  const sources = [...graph.sources].filter(inside)
  const sum = (values: ArrayLike<number>, of: ReadonlyArray<number>) =>
    of.reduce((total, one) => total + values[one]!, 0)
  return {
    isolated: sources.length === 0,
    close,
    keepClosed,
    stuck,
    sources,
    segment: within,
    withoutWater: dry,
    customers: sum(graph.customers, dry),
    meters: dry.filter((one) => graph.kinds[one] === "meter").length,
    demand: Math.round(sum(graph.demand, dry) * 1e6) / 1e6
  }
}
