/**
 * A rule: when people are alerted to what devices report. Plain, versioned data, so that it can live in a file, a database or a package;
 * `defineRule` is the same data with the compiler's help.
 *
 * A rule has up to five **levels**, each a severity and a condition. The highest that holds is the alert's severity. A **condition** is a
 * tree: leaves look at datastreams, anomalies, silence, places and hours, combinators put them together. Every condition is true, false or
 * unknown (Kleene's logic: nothing is known of a datastream before its first reading); only what is true raises, and what is unknown clears
 * nothing.
 */
import * as Schema from "effect/Schema"
import { Boundary, Position } from "../../../kernel/tenancy/boundary.ts"

/** ThingsBoard's five, the worst first. */
export const severities = ["critical", "major", "minor", "warning", "indeterminate"] as const
export const RuleSeverity = Schema.Literals(severities)
export type RuleSeverity = typeof RuleSeverity.Type

const Name = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,59}$/))
export const RuleId = Name
const Key = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_.:/-]{1,100}$/))
const Unit = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(40))
/** More than nothing, at most a year. */
const Seconds = Schema.Finite.check(Schema.isBetween({ minimum: 0.001, maximum: 31_622_400 }))
const some = (most: number) => [Schema.isMinLength(1), Schema.isMaxLength(most), Schema.isUnique()] as const

const source = {
  /** The datastream's key. */
  datastream: Key,
  /** In a rule over named sets: which member. Nothing else in the others. */
  member: Schema.optionalKey(Name)
}

/** What a datastream is compared with. */
const Operand = Schema.Union([
  Schema.Struct({ kind: Schema.Literal("constant"), value: Schema.Finite }),
  Schema.Struct({ kind: Schema.Literal("datastream"), ...source }),
  /** A number, or true (1) or false (0), that the device is registered with. */
  Schema.Struct({
    kind: Schema.Literal("attribute"),
    attribute: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100)),
    member: Schema.optionalKey(Name)
  })
])
export type Operand = typeof Operand.Type

export const comparisons = ["above", "at-least", "below", "at-most", "equal", "not-equal"] as const
export type ComparisonName = (typeof comparisons)[number]

/** A datastream's last value, its difference from the one before, or that difference per second. */
const Compare = Schema.Struct({
  kind: Schema.Literal("compare"),
  ...source,
  /** Default `value`. */
  of: Schema.optionalKey(Schema.Literals(["value", "delta", "rate"])),
  is: Schema.Literals(comparisons),
  than: Operand,
  /** UCUM, of the numbers here: any unit that converts to the profile's, for a rate per time, as `bar/min`. Default: the profile's, of a rate per second. */
  unit: Schema.optionalKey(Unit),
  /** Hysteresis: once true, it stays so until the value has come back to this threshold. Only beside a constant. */
  clear: Schema.optionalKey(Schema.Finite)
})

/** True for `seconds` from each anomaly of a datastream. */
const AnomalyLeaf = Schema.Struct({
  kind: Schema.Literal("anomaly"),
  ...source,
  /** Default: any. */
  anomalies: Schema.optionalKey(
    Schema.Array(Schema.Literals(["range", "rate", "flat", "gap", "clock", "record", "season", "baseline"])).check(
      ...some(8)
    )
  ),
  /** 0–1. Default 0. */
  minScore: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
  seconds: Seconds
})

/** No reading for so many times the device's expected interval. Unknown where the device has none. */
const Offline = Schema.Struct({
  kind: Schema.Literal("offline"),
  member: Schema.optionalKey(Name),
  /** Default: any datastream of the device is a sign of life. */
  datastream: Schema.optionalKey(Key),
  intervals: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))
})

/** GeoJSON has no circle. */
const Circle = Schema.Struct({
  type: Schema.Literal("Circle"),
  /** The middle: longitude, latitude. */
  coordinates: Position,
  /** Metres over the ground, at most those of 1,000 km. */
  radius: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))
})

/**
 * Where the device is, the edge being inside: where it last said it was, by the time of its readings `latitude` and `longitude` (or `lat` with
 * `lon` or `lng`), else where it is registered. An alert comes when the place becomes so and clears when it no longer is; `held` around it asks how long.
 */
const Geofence = Schema.Struct({
  kind: Schema.Literal("geofence"),
  member: Schema.optionalKey(Name),
  is: Schema.Literals(["inside", "outside"]),
  /** GeoJSON, WGS84, or a circle. */
  area: Schema.Union([...Boundary.members, Circle])
})

/** Hours of the week in the tenant's time zone. */
const Schedule = Schema.Struct({
  kind: Schema.Literal("schedule"),
  /** ISO weekdays, 1 is Monday. */
  days: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 }))).check(...some(7)),
  /** Local time `HH:MM`. */
  from: Schema.String.check(Schema.isPattern(/^([01]\d|2[0-3]):[0-5]\d$/)),
  /** Local time `HH:MM`, `24:00` at most. Not after `from`: the next day's, and the hours belong to the day on which they begin. */
  to: Schema.String.check(Schema.isPattern(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/)),
  /** What the tenant's holidays are: days like others, days off, or the only days. Default `include`. */
  holidays: Schema.optionalKey(Schema.Literals(["include", "except", "only"]))
}).check(
  Schema.makeFilter(
    ({ from, to }: { readonly from: string; readonly to: string }) =>
      from !== to || { path: ["to"], issue: "The hours end when they begin. Write 00:00 to 24:00 for the whole day." }
  )
)

export type Leaf =
  typeof Compare.Type | typeof AnomalyLeaf.Type | typeof Offline.Type | typeof Geofence.Type | typeof Schedule.Type
export type CompareLeaf = typeof Compare.Type
export type AnomalyLeaf = typeof AnomalyLeaf.Type
export type OfflineLeaf = typeof Offline.Type
export type GeofenceLeaf = typeof Geofence.Type
export type ScheduleLeaf = typeof Schedule.Type

export type Condition =
  | Leaf
  | { readonly kind: "all"; readonly conditions: ReadonlyArray<Condition> }
  | { readonly kind: "any"; readonly conditions: ReadonlyArray<Condition> }
  | { readonly kind: "not"; readonly condition: Condition }
  /** True when it has been true for so long, by event time, without a break. */
  | { readonly kind: "held"; readonly seconds: number; readonly condition: Condition }
  /** True while it began to hold at least so many times within the last seconds. */
  | { readonly kind: "repeated"; readonly times: number; readonly seconds: number; readonly condition: Condition }

const Inner = Schema.suspend((): Schema.Codec<Condition> => Condition)
/** What looks at nothing is no condition. */
const Conditions = Schema.Array(Inner).check(Schema.isMinLength(1), Schema.isMaxLength(20))

export const Condition: Schema.Codec<Condition> = Schema.Union([
  Compare,
  AnomalyLeaf,
  Offline,
  Geofence,
  Schedule,
  // One literal each, so that a mistake inside is told of that kind alone.
  Schema.Struct({ kind: Schema.Literal("all"), conditions: Conditions }),
  Schema.Struct({ kind: Schema.Literal("any"), conditions: Conditions }),
  Schema.Struct({ kind: Schema.Literal("not"), condition: Inner }),
  Schema.Struct({ kind: Schema.Literal("held"), seconds: Seconds, condition: Inner }),
  Schema.Struct({
    kind: Schema.Literal("repeated"),
    times: Schema.Int.check(Schema.isBetween({ minimum: 2, maximum: 100 })),
    seconds: Seconds,
    condition: Inner
  })
]).annotate({ identifier: "RuleCondition" })

const Names = Schema.Array(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100))).check(...some(1_000))

/** Devices that are in every list given; each has its own alert. */
const EachDevice = Schema.Struct({
  kind: Schema.Literal("each"),
  profiles: Schema.optionalKey(Names),
  groups: Schema.optionalKey(Names),
  /** UUIDs. */
  devices: Schema.optionalKey(Names)
}).check(
  Schema.makeFilter(
    (scope: { readonly profiles?: unknown; readonly groups?: unknown; readonly devices?: unknown }) =>
      scope.profiles !== undefined ||
      scope.groups !== undefined ||
      scope.devices !== undefined ||
      "Name profiles, groups or devices."
  )
)

/** Named sets of devices that are looked at together; each set has its own alert. */
const Sets = Schema.Struct({
  kind: Schema.Literal("sets"),
  sets: Schema.Array(
    Schema.Struct({
      id: Name,
      /** Name in the condition → device, a UUID. */
      members: Schema.Record(Name, Schema.String.check(Schema.isMinLength(1))).check(
        Schema.isMinProperties(1),
        Schema.isMaxProperties(20)
      )
    })
  ).check(Schema.isMinLength(1), Schema.isMaxLength(1_000))
})

const Title = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))

const body = {
  /** By language, BCP 47; `en` is always there. */
  title: Schema.StructWithRest(Schema.Struct({ en: Title }), [Schema.Record(Schema.String, Title)]),
  scope: Schema.Union([EachDevice, Sets]),
  /** Each severity once. */
  levels: Schema.Array(Schema.Struct({ severity: RuleSeverity, condition: Condition })).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(5)
  ),
  clear: Schema.optionalKey(
    Schema.Struct({
      /** The alert stays up until this holds, and no level. Default: until every level is false. */
      condition: Schema.optionalKey(Condition),
      /** Seconds for which that must last. Default 0. */
      after: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 31_622_400 })))
    })
  ),
  /**
   * So many alerts of one originator within an hour at most: the last one then stays up, marked as flapping, until an hour has been quiet.
   * Default 6.
   */
  perHour: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })))
}

/** What people write of a rule: its name is that of its address, and its version counts by itself. */
export const RuleBody = Schema.Struct(body).annotate({ identifier: "RuleBody" })
export type RuleBody = typeof RuleBody.Type

export const RuleDefinition = Schema.Struct({
  id: RuleId,
  /** Counts up with every change. */
  version: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 })),
  ...body
})
export type RuleDefinition = typeof RuleDefinition.Type

export const defaultPerHour = 6

/** A condition's own conditions, and the pointer to each. */
export const innerConditions = (condition: Condition): ReadonlyArray<readonly [pointer: string, Condition]> => {
  switch (condition.kind) {
    case "all":
    case "any":
      return condition.conditions.map((inner, place) => [`/conditions/${place}`, inner])
    case "not":
    case "held":
    case "repeated":
      return [["/condition", condition.condition]]
    default:
      return []
  }
}

/** Every condition of a rule with its pointer, outer ones first. */
export const conditionsOf = (rule: RuleDefinition): ReadonlyArray<readonly [pointer: string, Condition]> => {
  const below = (pointer: string, condition: Condition): ReadonlyArray<readonly [string, Condition]> => [
    [pointer, condition],
    ...innerConditions(condition).flatMap(([step, inner]) => below(pointer + step, inner))
  ]
  return [
    ...rule.levels.flatMap(({ condition }, place) => below(`/levels/${place}/condition`, condition)),
    ...(rule.clear?.condition === undefined ? [] : below("/clear/condition", rule.clear.condition))
  ]
}
