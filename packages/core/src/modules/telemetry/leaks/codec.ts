/** A detector's state as bytes, for a row of the database, and back. */
import { layoutOf } from "./baseline.ts"
import type { LeakGroup } from "./group.ts"
import { emptyLeakState, type LeakState } from "./state.ts"

/** Another number for another arrangement; what was written by an older one is begun anew. */
const edition = 1

/** All arrays of a state of a group, in an order that stays; their lengths follow from the group. */
const arrays = ({ baseline, inflow, ...state }: LeakState): ReadonlyArray<Float64Array> => [
  state.tally,
  state.before,
  baseline.center,
  baseline.ff,
  baseline.fr,
  baseline.rr,
  baseline.noise,
  state.recent,
  state.offset,
  state.sums,
  state.runs,
  state.scores,
  state.spread,
  state.lagged,
  inflow.weekday,
  ...state.known.map(({ seen }) => seen)
]

const scalars = ({ baseline, inflow, ...state }: LeakState): ReadonlyArray<number> => [
  state.night,
  state.end,
  state.pushed,
  baseline.nights,
  baseline.weight,
  inflow.nights,
  inflow.level,
  inflow.variance,
  inflow.sum,
  inflow.run,
  inflow.excess
]

const parts = (values: Float64Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** Doubles in the machine's order (little-endian on every platform that Node is for). */
export const encodeLeakState = (state: LeakState): Uint8Array => {
  const known = state.known.flatMap(({ at, counted, nights, place }) => [at, nights, place, counted])
  const all = [
    Float64Array.from([edition, state.sums.length, state.known.length, ...scalars(state), ...known]),
    ...arrays(state)
  ]
  const result = new Uint8Array(all.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let place = 0
  for (const values of all) {
    result.set(parts(values), place)
    place += values.byteLength
  }
  return result
}

/** How many of a state's first bytes change with every reading; the others do once a night. */
export const nightBytes = (state: LeakState): number =>
  8 * (3 + scalars(state).length + 4 * state.known.length + state.tally.length)

/** `undefined` where the bytes are not of this group (a sensor or place more or less) or of another edition: begin anew then. */
export const decodeLeakState = (group: LeakGroup, bytes: Uint8Array): LeakState | undefined => {
  if (bytes.byteLength % 8 !== 0 || bytes.byteLength < 24) return undefined
  const values = new Float64Array(bytes.slice().buffer)
  const state = emptyLeakState(group)
  const [found, candidates, known = 0] = values
  if (found !== edition || candidates !== state.sums.length) return undefined
  const plain = scalars(state).length
  const responses = layoutOf(group).responses.length
  for (let leak = 0; leak < known; leak++) {
    const place = 3 + plain + 4 * leak
    state.known.push({
      at: values[place]!,
      nights: values[place + 1]!,
      place: values[place + 2]!,
      counted: values[place + 3]!,
      seen: new Float64Array(responses)
    })
  }
  const targets = arrays(state)
  let place = 3 + plain + 4 * known
  if (values.length !== place + targets.reduce((sum, { length }) => sum + length, 0)) return undefined
  for (const target of targets) {
    target.set(values.subarray(place, place + target.length))
    place += target.length
  }
  let scalar = 3
  const next = () => values[scalar++]!
  // As `scalars` lists them.
  state.night = next()
  state.end = next()
  state.pushed = next()
  state.baseline.nights = next()
  state.baseline.weight = next()
  state.inflow.nights = next()
  state.inflow.level = next()
  state.inflow.variance = next()
  state.inflow.sum = next()
  state.inflow.run = next()
  state.inflow.excess = next()
  return state
}
