/**
 * A hydraulic zone as a city gives it: a part of the network whose inflow is metered (a district metered area, a pressure zone), with the datastreams
 * that show its water, and where there is a hydraulic model what a leak at each of its places does to them.
 */
import * as Schema from "effect/Schema"
import type { FieldIssue } from "../../../kernel/cases/model.ts"
import { Id } from "../../../kernel/ids.ts"
import { convert } from "../decode/units.ts"

/** What a zone may have: a night of the largest is judged in well under a second. */
export const limits = {
  sensors: 200,
  /** Each is told from, and a few dozen nights cannot teach more. */
  outflows: 8,
  places: 1000,
  /** Places times sensors. */
  effects: 60_000,
  /** Of a city. */
  zones: 100
} as const

const Name = Schema.String.check(Schema.isPattern(/^\P{Cc}{1,100}$/u)).annotate({
  description: "1 to 100 characters, no control characters"
})

/** m, m³/h: nothing that a sensor shows per m³/h is as large. */
const Change = Schema.Finite.check(Schema.isBetween({ minimum: -1e6, maximum: 1e6 }))

const ZoneSensor = Schema.Struct({
  datastreamId: Id,
  /** `pressure` in any unit of pressure, or a level in a unit of length; `inflow` into the zone and `outflow` out of it in any unit of flow. */
  role: Schema.Literals(["pressure", "inflow", "outflow"]),
  /** Of an outflow that fills a tank from which the zone drinks: the datastream of the tank's level, which is one of the zone's pressures. */
  tankLevel: Schema.optionalKey(Id)
})

export const ZoneDefinition = Schema.Struct({
  name: Name,
  sensors: Schema.Array(ZoneSensor).check(Schema.isMinLength(1), Schema.isMaxLength(limits.sensors)),
  /** Without them a leak is looked for at the pressure sensors. */
  places: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        name: Name,
        /**
         * Change of each sensor, in their order, per m³/h of leak at night: metres for pressures (negative), m³/h for flows; for an outflow with a
         * tank's level the change of its mean over days. Kept to seven digits.
         */
        effects: Schema.Array(Change).check(Schema.isMaxLength(limits.sensors))
      })
    ).check(Schema.isMinLength(1), Schema.isMaxLength(limits.places))
  )
}).annotate({ identifier: "HydraulicZoneDefinition" })
export type ZoneDefinition = typeof ZoneDefinition.Type
export type ZoneSensor = ZoneDefinition["sensors"][number]

/** What a reading in `unit` is multiplied by to be in metres of water or m³/h; undefined where the unit does not fit the role. */
export const factorOf = (role: ZoneSensor["role"], unit: string): number | undefined =>
  role === "pressure" ? (convert(1, unit, "m[H2O]") ?? convert(1, unit, "m")) : convert(1, unit, "m3/h")

/** What a definition says by itself that cannot be. `unitOf`: of a datastream, undefined where there is none. Pure. */
export const issuesOfZone = (
  { places, sensors }: ZoneDefinition,
  unitOf: (datastreamId: string) => string | undefined
): ReadonlyArray<FieldIssue> => {
  const issues: Array<FieldIssue> = []
  const issue = (pointer: string, detail: string) => issues.push({ pointer, detail })
  const count = (role: ZoneSensor["role"]) => sensors.filter((sensor) => sensor.role === role).length
  const pressures = new Set(sensors.flatMap(({ datastreamId, role }) => (role === "pressure" ? [datastreamId] : [])))
  const seen = new Set<string>()
  sensors.forEach(({ datastreamId, role, tankLevel }, place) => {
    const pointer = `/sensors/${place}`
    const unit = unitOf(datastreamId)
    if (seen.has(datastreamId)) issue(`${pointer}/datastreamId`, "The zone has this datastream already.")
    seen.add(datastreamId)
    if (unit === undefined) issue(`${pointer}/datastreamId`, "There is no such datastream.")
    else if (factorOf(role, unit) === undefined)
      issue(
        `${pointer}/role`,
        `The datastream is in ${unit}, which is no unit of ${role === "pressure" ? "pressure or length" : "flow"}.`
      )
    if (tankLevel === undefined) return
    if (role !== "outflow") issue(`${pointer}/tankLevel`, "Only an outflow fills a tank.")
    else if (!pressures.has(tankLevel))
      issue(`${pointer}/tankLevel`, "The tank's level must be one of the zone's pressures.")
  })
  if (pressures.size + count("inflow") === 0) issue("/sensors", "A zone needs a pressure or an inflow.")
  if (count("outflow") > limits.outflows) issue("/sensors", `A zone has at most ${limits.outflows} outflows.`)
  if (places === undefined) return issues
  if (pressures.size === 0) issue("/places", "Places are told by pressures; the zone has none.")
  if (places.length * sensors.length > limits.effects)
    issue("/places", `Places times sensors are at most ${limits.effects}; here are ${places.length * sensors.length}.`)
  const names = new Set<string>()
  places.forEach(({ effects, name }, place) => {
    if (names.has(name)) issue(`/places/${place}/name`, "There is a place of this name already.")
    names.add(name)
    if (effects.length !== sensors.length)
      issue(
        `/places/${place}/effects`,
        `An effect for each of the ${sensors.length} sensors; here are ${effects.length}.`
      )
  })
  return issues
}
