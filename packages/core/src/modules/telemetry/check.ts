/** Whether a decoded reading can be one of its datastream, and what is said of it where it cannot. Pure. */
import { convert } from "./decode/units.ts"
import type { DeadReason, DecodedReading } from "./model.ts"
import type { Device, Stream } from "./registry.ts"

/** Readings of a clock that is ahead by more than this, in milliseconds, are dead letters. */
export const futureTolerance = 3_600_000
/** Ten years: what is kept for ever takes nothing that is older. */
const oldest = 10 * 366 * 86_400_000

/** Nothing measured is larger; totals of such still are numbers, and their squares too. 32 bits' largest, which some sensors send for "none", is. */
const largest = 1e30
/** What is smaller counts as nothing: a mean of such would be no number that PostgreSQL has. */
const smallest = 1e-100

/** Bits of `reading.quality`. */
export const quality = { outOfRange: 1, historical: 2 } as const

export interface Checked {
  readonly stream: Stream
  readonly at: number
  readonly sequence: number
  readonly value: number
  readonly quality: number
}

export interface Unfit {
  readonly reason: DeadReason
  readonly detail: string
}

/** A reading of `device`, checked. `now`: where it is looked at again after it came; what would be dropped at once is too old then. */
export const checkReading = (
  device: Device,
  reading: DecodedReading,
  receivedAt: number,
  now = receivedAt
): Checked | Unfit => {
  const stream = device.streams.get(reading.key)
  if (stream === undefined)
    return { reason: "unknown-datastream", detail: `${device.name} has no datastream ${reading.key.slice(0, 100)}.` }
  const { definition, retention } = stream
  let { value } = reading
  if (reading.unit !== undefined && reading.unit !== definition.unit) {
    const converted = convert(value, reading.unit, definition.unit)
    if (converted === undefined)
      return {
        reason: "wrong-unit",
        detail: `${reading.key} is in ${definition.unit}; ${reading.unit.slice(0, 40)} does not convert to it.`
      }
    value = converted
  }
  if (!Number.isFinite(value)) return { reason: "not-a-number", detail: `${reading.key} is not a finite number.` }
  if (Math.abs(value) > largest)
    return { reason: "malformed", detail: `${reading.key} is beyond ±${largest}: nothing measured is so large.` }
  if (Math.abs(value) < smallest) value = 0
  const { at, sequence = 0 } = reading
  if (!Number.isFinite(at)) return { reason: "malformed", detail: `The time of ${reading.key} is not a number.` }
  if (at > receivedAt + futureTolerance)
    return { reason: "from-the-future", detail: `${reading.key} is of a time that is more than an hour ahead.` }
  if (at < now - (retention === 0 ? oldest : retention * 86_400_000))
    return { reason: "too-old", detail: `${reading.key} is older than its readings are kept.` }
  if (!(sequence >= 0 && sequence <= 0xffff_ffff && Number.isInteger(sequence)))
    return { reason: "malformed", detail: `The sequence of ${reading.key} is not a whole number of 32 bits.` }
  const outside =
    (definition.minimum !== undefined && value < definition.minimum) ||
    (definition.maximum !== undefined && value > definition.maximum)
  return {
    stream,
    // Whole milliseconds: what two would be in the database must be two here.
    at: Math.round(at),
    sequence,
    value,
    quality: (outside ? quality.outOfRange : 0) | (reading.historical === true ? quality.historical : 0)
  }
}
