/** Zones whose places have changed: a model that came later, or a better one. */
import { decodeLeakState } from "./codec.ts"
import { knownLeaks } from "./detector.ts"
import type { LeakGroup } from "./group.ts"
import { emptyLeakState, type LeakState } from "./state.ts"

/** More places than any group has: other bytes than a state's are not taken for one. */
const most = 10_000

/**
 * A state of the same sensors that was written when the group had other places, or none. What was learnt of the sensors stays; the evidence for
 * each place begins anew, and known leaks are looked for among the new places. `undefined` as of `decodeLeakState`.
 */
export const decodeWithOtherPlaces = (group: LeakGroup, bytes: Uint8Array): LeakState | undefined => {
  if (bytes.byteLength < 16) return undefined
  const candidates = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(8, true)
  if (!(Number.isInteger(candidates) && candidates >= 0 && candidates <= most)) return undefined
  const before = decodeLeakState(
    { ...group, places: Array.from({ length: candidates }, () => ({ name: "", effects: [] })) },
    bytes
  )
  if (before === undefined) return undefined
  const { lagged, runs, scores, spread, sums } = emptyLeakState(group)
  const state: LeakState = { ...before, lagged, runs, scores, spread, sums }
  state.known = before.known.map((leak) => ({ ...leak, place: 0 }))
  const where = knownLeaks(group, state)
  state.known = state.known.map((leak, number) => ({ ...leak, place: where[number]?.best ?? 0 }))
  return state
}
