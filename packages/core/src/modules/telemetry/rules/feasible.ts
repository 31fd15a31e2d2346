/**
 * Whether a condition can ever be true, or ever be false, whatever devices send: found by intervals. It says no only where that is certain.
 */
import type { CompareLeaf, Condition } from "./definition.ts"

/** What a profile says values can be. */
export type Bounds = (leaf: CompareLeaf) => { readonly minimum?: number; readonly maximum?: number }

/** Values that a requirement leaves: between the two, an end itself only where it is not open. */
interface Interval {
  readonly low: number
  readonly high: number
  readonly openLow: boolean
  readonly openHigh: boolean
}

const everything: Interval = { low: -Infinity, high: Infinity, openLow: false, openHigh: false }

const meet = (a: Interval, b: Interval): Interval => ({
  low: Math.max(a.low, b.low),
  high: Math.min(a.high, b.high),
  openLow: a.low === b.low ? a.openLow || b.openLow : a.low > b.low ? a.openLow : b.openLow,
  openHigh: a.high === b.high ? a.openHigh || b.openHigh : a.high < b.high ? a.openHigh : b.openHigh
})
const isEmpty = ({ high, low, openHigh, openLow }: Interval) => low > high || (low === high && (openLow || openHigh))

const opposite = {
  above: "at-most",
  "at-least": "below",
  below: "at-least",
  "at-most": "above",
  equal: "not-equal",
  "not-equal": "equal"
} as const

/** Where the value must be for the leaf to be so. One that is up falls only at its clear threshold. */
const required = (leaf: CompareLeaf, truth: boolean): Interval => {
  if (leaf.than.kind !== "constant") return everything
  const is = truth ? leaf.is : opposite[leaf.is]
  const value = truth ? leaf.than.value : (leaf.clear ?? leaf.than.value)
  switch (is) {
    case "above":
      return { ...everything, low: value, openLow: true }
    case "at-least":
      return { ...everything, low: value }
    case "below":
      return { ...everything, high: value, openHigh: true }
    case "at-most":
      return { ...everything, high: value }
    case "equal":
      return { ...everything, low: value, high: value }
    case "not-equal":
      return everything
  }
}

interface Wish {
  readonly condition: Condition
  readonly truth: boolean
}

const isAlways = (condition: Condition) =>
  condition.kind === "schedule" &&
  condition.days.length === 7 &&
  condition.from === "00:00" &&
  condition.to === "24:00" &&
  (condition.holidays ?? "include") === "include"

/**
 * Whether all the wishes can come true at one moment; with `lasting`, and stay so: then what is false because it has not been held long enough
 * does not count.
 */
export const feasible = (wishes: ReadonlyArray<Wish>, bounds: Bounds, lasting = false): boolean => {
  const left = [...wishes]
  const ranges = new Map<string, Interval>()
  const choices: Array<ReadonlyArray<Wish>> = []
  const certain: Array<Wish> = []
  for (let wish = left.pop(); wish !== undefined; wish = left.pop()) {
    const { condition, truth } = wish
    switch (condition.kind) {
      case "not":
        left.push({ condition: condition.condition, truth: !truth })
        break
      case "all":
      case "any": {
        const parts = condition.conditions.map((part) => ({ condition: part, truth }))
        if ((condition.kind === "all") === truth) left.push(...parts)
        else choices.push(parts)
        break
      }
      case "held":
        if (truth || lasting) left.push({ condition: condition.condition, truth })
        break
      case "repeated":
        // The beginnings lie in the past; with time it always ends.
        if (truth && !feasible([{ condition: condition.condition, truth }], bounds)) return false
        if (truth && !feasible([{ condition: condition.condition, truth: false }], bounds)) return false
        break
      case "schedule":
        if (!truth && isAlways(condition)) return false
        break
      case "compare": {
        const { maximum, minimum } = bounds(condition)
        const name = JSON.stringify([condition.member ?? "", condition.datastream, condition.of ?? "value"])
        const possible =
          (condition.of ?? "value") === "value"
            ? { ...everything, low: minimum ?? -Infinity, high: maximum ?? Infinity }
            : everything
        const range = meet(meet(ranges.get(name) ?? everything, possible), required(condition, truth))
        if (isEmpty(range)) return false
        ranges.set(name, range)
        certain.push(wish)
        break
      }
    }
  }
  // Of one choice this is exact; of several, each is only held against what is certain.
  return choices.every((parts) => parts.some((part) => feasible([...certain, part], bounds, lasting)))
}
