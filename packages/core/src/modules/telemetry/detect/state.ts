/** All that is kept of one datastream, and how it survives a restart. */
import { freshBaseline, type BaselineState } from "./baseline.ts"
import { freshChecks, type ChecksState } from "./checks.ts"
import { freshClock, type ClockState } from "./clock.ts"
import { freshRecord, type RecordState } from "./record.ts"
import { freshSeason, type SeasonState } from "./season.ts"

/** Constant in size. Changed by `detect`, and by nobody else. */
export interface DatastreamState {
  /** Readings judged, and when the first one was. */
  seen: number
  first: number
  /** Seconds between readings, as learned. */
  interval: number
  readonly clock: ClockState
  readonly checks: ChecksState
  readonly record: RecordState
  readonly season: SeasonState
  readonly baseline: BaselineState
}

export const freshState = (): DatastreamState => ({
  seen: 0,
  first: Number.NaN,
  interval: Number.NaN,
  clock: freshClock(),
  checks: freshChecks(),
  record: freshRecord(),
  season: freshSeason(),
  baseline: freshBaseline()
})

/** Raised when a number is added or comes to mean something else: what was learned before is then forgotten. */
const version = 1

type Numbers = Record<string, number>

/** Everything that holds numbers, in the order in which they are written. */
const partsOf = (state: DatastreamState): ReadonlyArray<object> => {
  const { baseline, checks, clock, record, season } = state
  const { down, hold, up } = season
  return [
    ...[state, clock, checks, record, record.value, record.level, record.trend, record.hold],
    ...[season, hold, up, down, baseline, baseline.hold]
  ]
}
const arraysOf = ({ season }: DatastreamState): ReadonlyArray<Float32Array> => [
  ...[season.weekMean, season.weeks],
  ...[season.dayMean, season.days, season.between, season.within]
]

const names = partsOf(freshState()).map((part) =>
  Object.entries(part).flatMap(([name, value]) => (typeof value === "number" ? [name] : []))
)
/** The version is the first of them. */
const doubles = 1 + names.flat().length
const size = 8 * doubles + 4 * arraysOf(freshState()).flatMap((array) => [...array]).length

/** Every number as it is in memory, so a state that was written goes on exactly as if it had stayed. 2,184 bytes. */
export const encodeState = (state: DatastreamState): Uint8Array => {
  const buffer = new ArrayBuffer(size)
  const numbers = new Float64Array(buffer, 0, doubles)
  numbers[0] = version
  let at = 1
  const parts = partsOf(state) as ReadonlyArray<Numbers>
  for (const [index, part] of parts.entries()) for (const name of names[index] ?? []) numbers[at++] = part[name] ?? 0
  let from = 8 * doubles
  for (const array of arraysOf(state)) {
    new Float32Array(buffer, from, array.length).set(array)
    from += array.byteLength
  }
  return new Uint8Array(buffer)
}

/** What cannot be read, another version's or cut short, begins anew. */
export const decodeState = (bytes: Uint8Array): DatastreamState => {
  const state = freshState()
  if (bytes.length !== size) return state
  const { buffer } = Uint8Array.from(bytes)
  const numbers = new Float64Array(buffer, 0, doubles)
  if (numbers[0] !== version) return state
  let at = 1
  const parts = partsOf(state) as ReadonlyArray<Numbers>
  for (const [index, part] of parts.entries()) for (const name of names[index] ?? []) part[name] = numbers[at++] ?? 0
  let from = 8 * doubles
  for (const array of arraysOf(state)) {
    array.set(new Float32Array(buffer, from, array.length))
    from += array.byteLength
  }
  return state
}
