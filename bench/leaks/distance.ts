/** How far a named place is from where the leak is. */
import { CountType, LinkProperty, LinkType } from "./epanet.ts"
import { type Network, openNetwork } from "./network.ts"
import type { Site } from "./simulate.ts"

export interface Distance {
  /** Metres along the pipes from the place to the middle of the pipe. */
  readonly pipes: number
  /** Metres as the crow flies. */
  readonly crow: number
}

/** Edges of a junction: the other end and metres; valves and pumps are of no length. */
const edgesOf = ({ project }: Network): ReadonlyMap<number, ReadonlyArray<readonly [number, number]>> => {
  const edges = new Map<number, Array<readonly [number, number]>>()
  const add = (from: number, to: number, length: number) => edges.set(from, [...(edges.get(from) ?? []), [to, length]])
  for (let link = 1; link <= project.getCount(CountType.LinkCount); link++) {
    const { node1, node2 } = project.getLinkNodes(link)
    const pipe = project.getLinkType(link) === LinkType.Pipe
    const length = pipe ? project.getLinkValue(link, LinkProperty.Length) : 0
    add(node1, node2, length)
    add(node2, node1, length)
  }
  return edges
}

/** Distances from named junctions to pipes of the network. */
export const distances = async (site: Site): Promise<(place: string, pipe: string) => Distance> => {
  const network = await openNetwork(site.path)
  const { place: placeOf, project } = network
  const edges = edgesOf(network)
  const pipes = new Map(network.pipes.map((pipe) => [pipe.id, pipe]))
  return (place, id) => {
    const node = project.getNodeIndex(place)
    const pipe = pipes.get(id)!
    const [from, to, here] = [placeOf(pipe.from), placeOf(pipe.to), placeOf(node)]
    const crow = Math.hypot(here.x - (from.x + to.x) / 2, here.y - (from.y + to.y) / 2)
    // Dijkstra from the middle of the pipe; some hundreds of nodes need no heap.
    const open = new Map([
      [pipe.from, pipe.length / 2],
      [pipe.to, pipe.length / 2]
    ])
    const done = new Set<number>()
    while (open.size > 0) {
      const [nearest, length] = [...open].reduce((best, entry) => (entry[1] < best[1] ? entry : best))
      if (nearest === node) return { pipes: length, crow }
      open.delete(nearest)
      done.add(nearest)
      for (const [next, more] of edges.get(nearest) ?? [])
        if (!done.has(next)) open.set(next, Math.min(open.get(next) ?? Number.POSITIVE_INFINITY, length + more))
    }
    return { pipes: Number.NaN, crow }
  }
}
