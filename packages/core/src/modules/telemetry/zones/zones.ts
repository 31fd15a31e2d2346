/** Hydraulic zones as rows: made, read, replaced, removed. Whatever changes counts the registry up, and the follower takes it up with its next turn. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput, NotFound, Refused, VersionConflict } from "../../../kernel/cases/model.ts"
import { TenantTx } from "../../../kernel/db/Database.ts"
import { appendEvent } from "../../../kernel/events/append.ts"
import { defineEvent } from "../../../kernel/events/Event.ts"
import { newId } from "../../../kernel/ids.ts"
import { demandEverywhere } from "../../../kernel/policy/Policy.ts"
import { Actor } from "../../../kernel/policy/Principal.ts"
import { registryChanged } from "../registry.ts"
import { issuesOfZone, limits, type ZoneDefinition, type ZoneSensor } from "./definition.ts"
import { givenEffects, packEffects, unpackEffects } from "./effects.ts"
import { endLeaks } from "./leaks.ts"

export const HydraulicZoneChanged = defineEvent({
  id: "hydraulic-zone.changed",
  payload: Schema.Struct({
    zoneId: Schema.String,
    name: Schema.String,
    what: Schema.Literals(["created", "replaced", "removed"])
  })
})

/** How far the follower is with a zone. */
export interface ZoneProgress {
  /** Nights learnt. */
  readonly nights: number
  /** End of the window of the last night that was judged; null before the first. */
  readonly judgedAt: Date | null
  /** Datastreams that said too little in it. */
  readonly silent: ReadonlyArray<string>
}

interface ZoneHead extends ZoneProgress {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly changedAt: Date
}

export interface ListedZone extends ZoneHead {
  /** How many. */
  readonly sensors: number
  readonly places: number
}

export interface StoredZone extends ZoneHead, ZoneDefinition {}

const announce = (zone: Pick<StoredZone, "id" | "name">, what: typeof HydraulicZoneChanged.payload.Type.what) =>
  Effect.flatMap(Actor, ({ id }) =>
    appendEvent(HydraulicZoneChanged, { zoneId: zone.id, name: zone.name, what }, { actorId: id })
  )

const check = Effect.fnUntraced(function* (given: ZoneDefinition, id: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const named = [...new Set(given.sensors.map(({ datastreamId }) => datastreamId))]
  const units = yield* sql<{ id: string; unit: string }>`
    select id, unit from mahalla.datastream where tenant_id = ${tenantId} and id = any (${named}::uuid[])`
  const unitOf = new Map(units.map((datastream) => [datastream.id, datastream.unit]))
  const taken = yield* sql`
    select from mahalla.hydraulic_zone where tenant_id = ${tenantId} and name = ${given.name} and id is distinct from ${id}::uuid`
  const issues = [
    ...(taken.length > 0 ? [{ pointer: "/name", detail: "There is a zone of this name already." }] : []),
    ...issuesOfZone(given, (datastreamId) => unitOf.get(datastreamId))
  ]
  if (issues.length > 0) return yield* new InvalidInput({ issues: issues.slice(0, 50) })
})

const columnsOf = ({ places, sensors }: ZoneDefinition) => ({
  sensors: JSON.stringify(sensors),
  places: places?.map(({ name }) => name) ?? null,
  effects: places === undefined ? null : packEffects(places)
})

/** Makes a zone; needs `hydraulic-zone.manage`. Fails with `InvalidInput`, or with `Refused` where the city has as many as it may have. */
export const createZone = Effect.fn("telemetry.createZone")(function* (given: ZoneDefinition) {
  yield* demandEverywhere("hydraulic-zone.manage")
  const { sql, tenantId } = yield* TenantTx
  // First, for changes take turns here.
  yield* registryChanged
  yield* check(given, null)
  const [count] = yield* sql<{ amount: number }>`
    select count(*)::int as amount from mahalla.hydraulic_zone where tenant_id = ${tenantId}`
  if (count!.amount >= limits.zones)
    return yield* new Refused({
      code: "too-many-zones",
      message: `A city has at most ${limits.zones} hydraulic zones.`
    })
  const id = yield* newId
  const now = new Date(yield* Clock.currentTimeMillis)
  const { effects, places, sensors } = columnsOf(given)
  yield* sql`
    insert into mahalla.hydraulic_zone (tenant_id, id, name, sensors, places, effects, changed_at)
    values (${tenantId}, ${id}, ${given.name}, ${sensors}::text::jsonb, ${places}::text[], ${effects}::bytea, ${now})`
  yield* announce({ id, name: given.name }, "created")
  return yield* zoneOf(id)
})

interface ZoneRow extends ZoneHead {
  readonly sensors: ReadonlyArray<ZoneSensor>
  readonly places: ReadonlyArray<string> | null
  readonly effects: Uint8Array | null
}

const zoneOf = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<ZoneRow>`
    select z.id, z.name, z.version, z.changed_at as "changedAt", z.sensors, z.places, z.effects, coalesce(s.nights, 0) as nights,
      s.judged_at as "judgedAt", coalesce(s.silent, '{}') as silent
    from mahalla.hydraulic_zone z
    left join mahalla.hydraulic_zone_state s on s.tenant_id = z.tenant_id and s.zone_id = z.id
    where z.tenant_id = ${tenantId} and z.id = ${id}`
  if (row === undefined) return yield* new NotFound({ what: "hydraulic zone", id })
  const { effects, places, ...zone } = row
  return {
    ...zone,
    ...(places === null || effects === null ? {} : { places: unpackEffects(places, effects).map(givenEffects) })
  } satisfies StoredZone
})

/** One zone, or `NotFound`; needs `hydraulic-zone.read`. */
export const getZone = Effect.fn("telemetry.getZone")(function* (id: string) {
  yield* demandEverywhere("hydraulic-zone.read")
  return yield* zoneOf(id)
})

/** All zones, by name; needs `hydraulic-zone.read`. */
export const listZones = Effect.gen(function* () {
  yield* demandEverywhere("hydraulic-zone.read")
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<ListedZone>`
    select z.id, z.name, z.version, z.changed_at as "changedAt", jsonb_array_length(z.sensors) as sensors,
      coalesce(cardinality(z.places), 0) as places, coalesce(s.nights, 0) as nights, s.judged_at as "judgedAt",
      coalesce(s.silent, '{}') as silent
    from mahalla.hydraulic_zone z
    left join mahalla.hydraulic_zone_state s on s.tenant_id = z.tenant_id and s.zone_id = z.id
    where z.tenant_id = ${tenantId} order by z.name`
}).pipe(Effect.withSpan("telemetry.listZones"))

const changeable = Effect.fnUntraced(function* (id: string, expected: number | undefined) {
  yield* demandEverywhere("hydraulic-zone.manage")
  const { sql, tenantId } = yield* TenantTx
  yield* registryChanged
  const [found] = yield* sql<{ id: string; name: string; version: number }>`
    select id, name, version from mahalla.hydraulic_zone where tenant_id = ${tenantId} and id = ${id} for update`
  if (found === undefined) return yield* new NotFound({ what: "hydraulic zone", id })
  if (expected !== undefined && expected !== found.version)
    return yield* new VersionConflict({ what: "hydraulic zone", expected, found: found.version })
  return found
})

/**
 * Puts another definition in the place of a zone's; needs `hydraulic-zone.manage`. Other sensors: it learns anew. Other places: what it has learnt
 * stays, and the evidence for each place begins anew. Leaks that were found stay until they are accepted.
 */
export const replaceZone = Effect.fn("telemetry.replaceZone")(function* (
  id: string,
  given: ZoneDefinition,
  expected: number | undefined
) {
  const { sql, tenantId } = yield* TenantTx
  yield* changeable(id, expected)
  yield* check(given, id)
  const now = new Date(yield* Clock.currentTimeMillis)
  const { effects, places, sensors } = columnsOf(given)
  yield* sql`
    update mahalla.hydraulic_zone
    set name = ${given.name}, sensors = ${sensors}::text::jsonb, places = ${places}::text[], effects = ${effects}::bytea,
      version = version + 1, changed_at = ${now}
    where tenant_id = ${tenantId} and id = ${id}`
  yield* announce({ id, name: given.name }, "replaced")
  return yield* zoneOf(id)
})

/** Removes a zone with what it has learnt; its alerts clear. Needs `hydraulic-zone.manage`. */
export const removeZone = Effect.fn("telemetry.removeZone")(function* (id: string, expected: number | undefined) {
  const { sql, tenantId } = yield* TenantTx
  const zone = yield* changeable(id, expected)
  yield* endLeaks(id, "The zone was removed.")
  yield* sql`delete from mahalla.hydraulic_zone where tenant_id = ${tenantId} and id = ${id}`
  yield* announce(zone, "removed")
})
