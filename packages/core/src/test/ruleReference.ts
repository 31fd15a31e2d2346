/**
 * What rules mean, without any speed: at every second of time, and after every fact, each condition reads the whole history again. For tests,
 * with times in whole seconds.
 */
import type { Place } from "../kernel/cases/model.ts"
import type { Boundary } from "../kernel/tenancy/boundary.ts"
import type { CompareLeaf, Condition, RuleDefinition } from "../modules/telemetry/rules/definition.ts"
import { conditionsOf } from "../modules/telemetry/rules/definition.ts"
import type { DeviceFacts, Fact } from "../modules/telemetry/rules/facts.ts"

interface Moment {
  readonly time: number
  /** A span that ends now is over. */
  readonly closing: boolean
  /** So many facts of the history are known. */
  readonly known: number
}

type Accepted = Exclude<Fact, { readonly kind: "tick" | "device" | "gone" }> & { readonly clock: number }

export interface Told {
  readonly do: "raise" | "update" | "clear"
  readonly severity: string
  readonly at: number
  readonly flapping: boolean
}

const hour = 3_600_000

/** What one rule says of one device, introduced at time 0. */
export const reference = (
  rule: RuleDefinition,
  device: DeviceFacts,
  facts: ReadonlyArray<Fact>
): ReadonlyArray<Told> => {
  const conditions = conditionsOf(rule).map(([, condition]) => condition)
  const looksAt = (key: string) =>
    conditions.some(
      (one) =>
        ("datastream" in one && one.datastream === key) ||
        (one.kind === "geofence" && (key === "latitude" || key === "longitude")) ||
        (one.kind === "compare" && one.than.kind === "datastream" && one.than.datastream === key)
    )
  const history: Array<Accepted> = []
  const moments: Array<Moment> = []
  const told: Array<Told> = []
  /** Which moment an effect came at. */
  const toldAt: Array<number> = []
  let memo = new Map<Condition, Array<number>>()

  const isOver = (end: number, { closing, time }: Moment) => end < time || (closing && end === time)
  const readingsOf = (key: string, known: number) =>
    history.slice(0, known).flatMap((fact) => (fact.kind === "reading" && fact.key === key ? [fact] : []))

  const compare = (leaf: CompareLeaf, { known }: Moment): number => {
    const { than } = leaf
    const own: Array<Accepted & { readonly kind: "reading" }> = []
    const other: Array<Accepted & { readonly kind: "reading" }> = []
    let truth = 0
    for (const fact of history.slice(0, known)) {
      if (fact.kind !== "reading") continue
      if (fact.key === leaf.datastream) own.push(fact)
      if (than.kind === "datastream" && fact.key === than.datastream) other.push(fact)
      const [before, last] = [own.at(-2), own.at(-1)]
      const difference = (last?.value ?? Number.NaN) - (before?.value ?? Number.NaN)
      const left =
        leaf.of === "delta"
          ? difference
          : leaf.of === "rate"
            ? last?.at === before?.at
              ? Number.NaN
              : (difference / (last!.at - (before?.at ?? Number.NaN))) * 1000
            : (last?.value ?? Number.NaN)
      const right =
        than.kind === "constant"
          ? truth === 1
            ? (leaf.clear ?? than.value)
            : than.value
          : than.kind === "attribute"
            ? Number(device.attributes[than.attribute])
            : (other.at(-1)?.value ?? Number.NaN)
      const holds =
        (leaf.is === "above" && left > right) ||
        (leaf.is === "at-least" && left >= right) ||
        (leaf.is === "below" && left < right) ||
        (leaf.is === "at-most" && left <= right) ||
        (leaf.is === "equal" && left === right) ||
        (leaf.is === "not-equal" && left !== right)
      truth = Number.isNaN(left) || Number.isNaN(right) ? 0 : holds ? 1 : -1
    }
    return truth
  }

  const anew = (condition: Condition, at: number): number => {
    const moment = moments[at]!
    const { known, time } = moment
    switch (condition.kind) {
      case "all":
        return Math.min(...condition.conditions.map((one) => truth(one, at)))
      case "any":
        return Math.max(...condition.conditions.map((one) => truth(one, at)))
      case "not":
        return -truth(condition.condition, at)
      case "compare":
        return compare(condition, moment)
      case "held": {
        const now = truth(condition.condition, at)
        if (now !== 1) return now
        let first = at
        while (first > 0 && truth(condition.condition, first - 1) === 1) first--
        return isOver(moments[first]!.time + condition.seconds * 1000, moment) ? 1 : -1
      }
      case "repeated": {
        const inner = (place: number) => truth(condition.condition, place)
        const beginnings = moments
          .slice(0, at + 1)
          .flatMap((one, place) => (inner(place) === 1 && (place === 0 || inner(place - 1) !== 1) ? [one.time] : []))
        const oldest = beginnings.at(-condition.times) ?? -Infinity
        const span = condition.seconds * 1000
        const wasTrue = at > 0 && truth(condition, at - 1) === 1
        if (wasTrue ? !isOver(oldest + span, moment) : time - oldest < span) return 1
        return inner(at) === 0 && beginnings.length === 0 ? 0 : -1
      }
      case "offline": {
        const readings = history
          .slice(0, known)
          .flatMap((fact) =>
            fact.kind === "reading" && (condition.datastream ?? fact.key) === fact.key ? [fact.at] : []
          )
        const last = readings.length === 0 ? 0 : Math.max(...readings)
        return isOver(last + condition.intervals * device.expectedInterval! * 1000, moment) ? 1 : -1
      }
      case "anomaly": {
        const ends = history.slice(0, known).flatMap((fact) => {
          if (fact.kind !== "anomaly" || fact.key !== condition.datastream) return []
          const { at: began, kind, score } = fact.anomaly
          const end = began + condition.seconds * 1000
          return score >= (condition.minScore ?? 0) &&
            (condition.anomalies?.includes(kind) ?? true) &&
            end > Math.max(fact.clock, began)
            ? [end]
            : []
        })
        return ends.length === 0 || isOver(Math.max(...ends), moment) ? -1 : 1
      }
      case "geofence": {
        // In tests one coordinate comes right after the other: the first alone is no place yet.
        let [latitude, longitude]: Array<(Accepted & { readonly kind: "reading" }) | undefined> = []
        let last: Place | undefined
        for (const one of history.slice(0, known)) {
          if (one.kind !== "reading") continue
          if (one.key === "latitude") latitude = one
          if (one.key === "longitude") longitude = one
          if (latitude !== undefined && longitude !== undefined && latitude.at === longitude.at)
            last = { longitude: longitude.value, latitude: latitude.value }
        }
        if (last === undefined) return 0
        // Areas in tests are squares.
        const ring = ((condition.area as Boundary).coordinates[0] as ReadonlyArray<ReadonlyArray<number>>).map(
          ([x, y]) => [x!, y!] as const
        )
        const [xs, ys] = [ring.map(([x]) => x), ring.map(([, y]) => y)]
        const inside =
          last.longitude >= Math.min(...xs) &&
          last.longitude <= Math.max(...xs) &&
          last.latitude >= Math.min(...ys) &&
          last.latitude <= Math.max(...ys)
        return inside === (condition.is === "inside") ? 1 : -1
      }
      case "schedule": {
        // Greenwich, no holidays.
        const shown = new Date(moment.closing ? time : time - 500)
        const minute = shown.getUTCHours() * 60 + shown.getUTCMinutes()
        const minutes = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))
        const isDay = condition.days.includes(((shown.getUTCDay() + 6) % 7) + 1)
        return isDay && minute >= minutes(condition.from) && minute < minutes(condition.to) ? 1 : -1
      }
    }
  }
  const truth = (condition: Condition, at: number): number => {
    const known = memo.get(condition) ?? []
    memo.set(condition, known)
    return (known[at] ??= anew(condition, at))
  }

  const order = ["critical", "major", "minor", "warning", "indeterminate"]
  const levels = rule.levels.toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
  const mayClear = (at: number) =>
    levels.every(({ condition }) => truth(condition, at) !== 1) &&
    (rule.clear?.condition === undefined
      ? levels.every(({ condition }) => truth(condition, at) === -1)
      : truth(rule.clear.condition, at) === 1)

  /** Decides the last moment; whether anything came of it. */
  const decide = (): boolean => {
    const at = moments.length - 1
    const moment = moments[at]!
    const last = told.at(-1)
    const isUp = last !== undefined && last.do !== "clear"
    const say = (what: Told["do"], severity: string, flapping: boolean) => {
      told.push({ do: what, severity, at: moment.time, flapping })
      toldAt.push(at)
      return true
    }
    const top = levels.find(({ condition }) => truth(condition, at) === 1)
    if (top !== undefined) {
      if (!isUp) return say("raise", top.severity, false)
      const isWorse = order.indexOf(top.severity) < order.indexOf(last.severity)
      return top.severity !== last.severity && (isWorse || !last.flapping) && say("update", top.severity, last.flapping)
    }
    if (!isUp || !mayClear(at)) return false
    const raised = toldAt[told.findLastIndex((one) => one.do === "raise")]!
    let first = at
    while (first - 1 > raised && mayClear(first - 1)) first--
    const since = moments[first]!.time
    const after = (rule.clear?.after ?? 0) * 1000
    if (after > 0 && !isOver(since + after, moment)) return false
    const raises = told.filter((one) => one.do === "raise" && moment.time - one.at < hour)
    let flapping = last.flapping
    let any = false
    if (!flapping && raises.length >= (rule.perHour ?? 6)) any = flapping = say("update", last.severity, true)
    if (flapping && !isOver(since + hour, moment)) return any
    return say("clear", last.severity, flapping)
  }

  const clock = () => moments.at(-1)?.time ?? 0
  const fact = (time: number, known: number) => {
    const end = moments.at(-1)
    moments.push({ time, closing: end !== undefined && end.time === time && end.closing, known })
    decide()
  }
  /** Every second until then; those at which nothing changes leave no trace. */
  const pass = (until: number) => {
    for (let time = clock(); time <= until; time += 1000) {
      moments.push({ time, closing: true, known: history.length })
      const at = moments.length - 1
      const changed = conditions.some((one) => truth(one, at) !== truth(one, at - 1))
      if (decide() || changed) continue
      moments.pop()
      for (const known of memo.values()) known.length = at
    }
  }

  fact(0, 0)
  for (const one of facts) {
    memo = new Map()
    if (one.kind === "tick") pass(one.at)
    if (one.kind === "tick" || one.kind === "device" || one.kind === "gone") continue
    const at = one.kind === "anomaly" ? one.anomaly.at : one.at
    if (one.kind === "reading" && looksAt(one.key)) {
      const last = readingsOf(one.key, history.length).at(-1)
      if (last !== undefined && (at < last.at || (at === last.at && (one.sequence ?? 0) <= (last.sequence ?? 0))))
        continue
    }
    if (one.kind === "anomaly") {
      const last = readingsOf(one.key, history.length).at(-1)
      if (last === undefined || at < last.at) continue
      if (!conditions.some((leaf) => leaf.kind === "anomaly" && leaf.datastream === one.key)) continue
    }
    // Before its first reading nothing was decided but silence and hours: one that is older begins anew, unless somebody was told of these.
    const isFirst = one.kind === "reading" && !history.some(({ kind }) => kind === "reading")
    if (isFirst && told.length === 0 && at < clock()) {
      memo = new Map()
      moments.length = 0
      fact(at, 0)
    }
    pass(at - 1000)
    const before = clock()
    history.push({ ...one, clock: before })
    fact(Math.max(at, before), history.length)
  }
  return told
}
