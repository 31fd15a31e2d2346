/** Profiles of devices: made, changed, listed. A change counts the registry up, so that the next message is read by it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { InvalidInput, NotFound, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { type ProfileDefinition, profileMistakes } from "./profile.ts"
import { registryChanged } from "./registry.ts"
import { demandRulesFit } from "./ruleCheck.ts"

export interface StoredProfile {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly definition: ProfileDefinition
  readonly createdAt: Date
  readonly changedAt: Date
}

const demandSound = (definition: ProfileDefinition) => {
  const issues = profileMistakes(definition)
  return issues.length === 0 ? Effect.void : Effect.fail(new InvalidInput({ issues }))
}

const profileRows = Effect.fnUntraced(function* (id: string | undefined) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredProfile>`
    select id, name, version, definition, created_at as "createdAt", changed_at as "changedAt" from mahalla.device_profile
    where tenant_id = ${tenantId} and (${id ?? null}::uuid is null or id = ${id ?? null}) order by name limit 1000`
})

/** All of them, by name; a city has dozens. */
export const listProfiles = Effect.andThen(demandEverywhere("device-profile.read"), profileRows(undefined))

export const getProfile = Effect.fn("telemetry.getProfile")(function* (id: string) {
  yield* demandEverywhere("device-profile.read")
  return (yield* profileRows(id))[0] ?? (yield* new NotFound({ what: "device profile", id }))
})

/** Makes a profile. Fails with `InvalidInput` where the definition contradicts itself or the name is taken. */
export const createProfile = Effect.fn("telemetry.createProfile")(function* (
  name: string,
  definition: ProfileDefinition
) {
  yield* demandEverywhere("device-profile.manage")
  yield* demandSound(definition)
  const { sql, tenantId } = yield* TenantTx
  const id = yield* newId
  const now = new Date(yield* Clock.currentTimeMillis)
  const changed = yield* registryChanged
  const rows = yield* sql`
    insert into mahalla.device_profile (tenant_id, id, name, definition, retention, created_at, changed_at, changed)
    values (${tenantId}, ${id}, ${name}, ${JSON.stringify(definition)}::text::jsonb, ${definition.retention}, ${now}, ${now}, ${changed})
    on conflict (tenant_id, name) do nothing returning id`
  if (rows.length === 0)
    return yield* new InvalidInput({ issues: [{ pointer: "/name", detail: `There is a profile ${name} already.` }] })
  return { id, name, version: 1, definition, createdAt: now, changedAt: now } satisfies StoredProfile
})

/** Datastreams of devices as their profile has them now; ones that it has dropped stay with their readings. */
export const ensureDatastreams = Effect.fnUntraced(function* (
  profileId: string,
  devices: ReadonlyArray<string> | null
) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  // Joined, not asked for with `any`: a plan made while there were few devices would compare each of many with all of these.
  const those = devices === null ? sql`` : sql`join unnest(${devices}::uuid[]) as given (id) on given.id = d.id`
  yield* sql`
    insert into mahalla.datastream as s (tenant_id, id, device_id, key, unit, retentions, created_at)
    select d.tenant_id, gen_random_uuid(), d.id, wanted.key, wanted.unit, array[p.retention], ${now}
    from mahalla.device_profile p
    join mahalla.device d on d.tenant_id = p.tenant_id and d.profile_id = p.id
    ${those}
    cross join lateral jsonb_to_recordset(p.definition -> 'datastreams') as wanted (key text, unit text)
    where p.tenant_id = ${tenantId} and p.id = ${profileId}
    order by d.id, wanted.key
    on conflict (tenant_id, device_id, key) do update set unit = excluded.unit,
      retentions = case when excluded.retentions[1] = any (s.retentions) then s.retentions else s.retentions || excluded.retentions end`
})

/** Units in which devices have datastreams, those that their profile has dropped too. */
export const measuredBy = Effect.fnUntraced(function* (devices: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ key: string; unit: string }>`
    select distinct key, unit from mahalla.datastream where tenant_id = ${tenantId} and device_id = any (${devices}::uuid[])`
})

/** Readings are never taken for such of another unit. */
export const demandUnits = (
  { datastreams }: ProfileDefinition,
  measured: ReadonlyArray<{ readonly key: string; readonly unit: string }>,
  pointer: string
) => {
  const moved = measured.find(({ key, unit }) => datastreams.some((one) => one.key === key && one.unit !== unit))
  if (moved === undefined) return Effect.void
  const detail = `${moved.key} has readings in ${moved.unit}; give it another key to measure in another unit.`
  return Effect.fail(new InvalidInput({ issues: [{ pointer, detail }] }))
}

/**
 * Changes a profile's definition; `expected` is the version that was read. Fails with `InvalidInput` where it contradicts itself, where a key would
 * be measured in another unit than before, or where a rule in force needs what would be gone.
 */
export const changeProfile = Effect.fn("telemetry.changeProfile")(function* (
  id: string,
  definition: ProfileDefinition,
  expected: number | undefined
) {
  yield* demandEverywhere("device-profile.manage")
  yield* demandSound(definition)
  const { sql, tenantId } = yield* TenantTx
  const changed = yield* registryChanged
  const now = new Date(yield* Clock.currentTimeMillis)
  const before = yield* getProfile(id)
  if (expected !== undefined && before.version !== expected)
    return yield* new VersionConflict({ what: "device profile", expected, found: before.version })
  const devices = yield* sql<{ id: string }>`
    select id from mahalla.device where tenant_id = ${tenantId} and profile_id = ${id}`
  const measured = yield* measuredBy(devices.map((device) => device.id))
  yield* demandUnits(definition, [...before.definition.datastreams, ...measured], "/definition/datastreams")
  yield* demandRulesFit({ profile: before.name, definition })
  yield* sql`
    update mahalla.device_profile set definition = ${JSON.stringify(definition)}::text::jsonb, retention = ${definition.retention},
      version = version + 1, changed_at = ${now}, changed = ${changed}
    where tenant_id = ${tenantId} and id = ${id}`
  yield* ensureDatastreams(id, null)
  return yield* getProfile(id)
})
