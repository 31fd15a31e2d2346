/** Units in rules: a threshold, or another datastream, may be in any unit that converts to that of the datastream that is compared. */
import { convert } from "../decode/units.ts"
import type { CompareLeaf } from "./definition.ts"

type Aspect = NonNullable<CompareLeaf["of"]>

/** Where a scale begins does not matter for differences: 5 K are 5 Cel. */
const convertDifference = (value: number, from: string, to: string): number | undefined => {
  const [there, zero] = [convert(value, from, to), convert(0, from, to)]
  if (there === undefined || zero === undefined) return undefined
  return zero === 0 ? there : Math.round((there - zero) * 1e9) / 1e9
}

/** `kPa/min` as what changes and the seconds in which it does. */
const rateOf = (unit: string) => {
  const slash = unit.lastIndexOf("/")
  const seconds = slash === -1 ? undefined : convert(1, unit.slice(slash + 1), "s")
  return seconds === undefined ? undefined : { amount: unit.slice(0, slash), seconds }
}

/**
 * A number to compare a datastream's aspect with, in the datastream's own unit, a rate in that per second. `from` is the unit the number is given
 * in, of a rate `unit/s`, `unit/min`, `unit/h` and so on. Undefined where the two do not convert.
 */
export const inUnit = (aspect: Aspect, value: number, from: string, unit: string): number | undefined => {
  if (aspect === "value") return convert(value, from, unit)
  if (aspect === "delta") return convertDifference(value, from, unit)
  const rate = rateOf(from)
  const difference = rate === undefined ? undefined : convertDifference(value, rate.amount, unit)
  return difference === undefined ? undefined : difference / rate!.seconds
}

/** The way back of `inUnit`, for people to read. */
export const outOfUnit = (aspect: Aspect, value: number, unit: string, to: string): number | undefined => {
  if (aspect === "value") return convert(value, unit, to)
  if (aspect === "delta") return convertDifference(value, unit, to)
  const rate = rateOf(to)
  const difference = rate === undefined ? undefined : convertDifference(value, unit, rate.amount)
  return difference === undefined ? undefined : difference * rate!.seconds
}
