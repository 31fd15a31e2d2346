/** Whose turn it is: tenants one after the other, and of each its endpoints one after the other, so that nobody waits for all of somebody else's. */

interface Turned {
  readonly tenantId: string
  readonly endpointId: string
}

export interface Turns<Lane extends Turned> {
  readonly add: (lane: Lane) => void
  readonly remove: (lane: Lane) => void
  /** The next one; its turn comes again after all others'. */
  readonly next: () => Lane | undefined
}

/** Moves the first entry of a map behind the last and gives its value. */
const rotate = <Value>(ring: Map<string, Value>): Value | undefined => {
  const first = ring.entries().next()
  if (first.done === true) return undefined
  const [key, value] = first.value
  ring.delete(key)
  ring.set(key, value)
  return value
}

export const makeTurns = <Lane extends Turned>(): Turns<Lane> => {
  const tenants = new Map<string, Map<string, Lane>>()
  return {
    add: (lane) => {
      const ring = tenants.get(lane.tenantId)
      if (ring === undefined) tenants.set(lane.tenantId, new Map([[lane.endpointId, lane]]))
      else if (!ring.has(lane.endpointId)) ring.set(lane.endpointId, lane)
    },
    remove: ({ endpointId, tenantId }) => {
      const ring = tenants.get(tenantId)
      ring?.delete(endpointId)
      if (ring?.size === 0) tenants.delete(tenantId)
    },
    next: () => {
      const ring = rotate(tenants)
      return ring === undefined ? undefined : rotate(ring)
    }
  }
}
