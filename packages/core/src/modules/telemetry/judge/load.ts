/** What judging needs of a tenant: its rules, its devices as rules know them, and what was remembered of both. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../../kernel/db/Database.ts"
import type { DeviceFacts } from "../rules/facts.ts"
import type { RuleDefinition } from "../rules/definition.ts"
import type { StoredOriginator } from "../rules/model.ts"

/** A device for rules, and what an alert says of it. */
export interface KnownDevice {
  readonly facts: DeviceFacts
  readonly name: string
  readonly title: string
  readonly assetId: string | undefined
  /** Of its own, itself and those above it; empty where it has none. */
  readonly territoryPath: ReadonlyArray<string>
  /** Epoch milliseconds. */
  readonly createdAt: number
}

const nowhere: ReadonlyArray<string> = []

interface Row {
  readonly id: string
  readonly name: string
  readonly title: string
  readonly profile: string
  readonly groups: ReadonlyArray<string>
  readonly attributes: Readonly<Record<string, unknown>>
  readonly interval: number | null
  readonly longitude: number | null
  readonly latitude: number | null
  readonly assetId: string | null
  readonly territoryPath: ReadonlyArray<string> | null
  readonly createdAt: Date
}

/** Active devices; only those that have changed after a registry number where it is given. `gone`: such that rules know no more. */
export const loadDevices = Effect.fnUntraced(function* (after: number | undefined) {
  const { sql, tenantId } = yield* TenantTx
  const since = after ?? 0
  const rows = yield* sql<Row & { active: boolean }>`
    select d.id, d.name, d.title, p.name as profile, d.groups, d.attributes, (p.definition ->> 'interval')::float8 as interval, d.longitude,
      d.latitude, d.asset_id as "assetId", t.path as "territoryPath", d.created_at as "createdAt", d.status = 'active' as active
    from mahalla.device d join mahalla.device_profile p on p.tenant_id = d.tenant_id and p.id = d.profile_id
    left join mahalla.territory t on t.tenant_id = d.tenant_id and t.id = d.territory_id
    where d.tenant_id = ${tenantId} and (d.changed > ${since} or p.changed > ${since}) order by d.id`
  const profiles = yield* sql<{ name: string; units: Readonly<Record<string, string>> }>`
    select p.name, (select jsonb_object_agg(s ->> 'key', s ->> 'unit') from jsonb_array_elements(p.definition -> 'datastreams') s) as units
    from mahalla.device_profile p where p.tenant_id = ${tenantId}`
  // One object for all devices of a profile.
  const units = new Map(profiles.map((profile) => [profile.name, profile.units]))
  const paths = new Map<string, ReadonlyArray<string>>()
  const shared = (path: ReadonlyArray<string>) => {
    const known = paths.get(path[0]!)
    if (known === undefined) paths.set(path[0]!, path)
    return known ?? path
  }
  const known = rows
    .filter(({ active }) => active)
    .map((row): KnownDevice => ({
      facts: {
        id: row.id,
        profile: row.profile,
        groups: row.groups,
        attributes: row.attributes,
        units: units.get(row.profile)!,
        ...(row.interval === null ? {} : { expectedInterval: row.interval }),
        ...(row.longitude === null || row.latitude === null
          ? {}
          : { place: { longitude: row.longitude, latitude: row.latitude } })
      },
      name: row.name,
      title: row.title,
      assetId: row.assetId ?? undefined,
      // One object for all devices of a territory.
      territoryPath: row.territoryPath === null ? nowhere : shared(row.territoryPath),
      createdAt: row.createdAt.getTime()
    }))
  return { known, gone: rows.filter(({ active }) => !active).map(({ id }) => id) }
})

/** Those that are disabled too: they take the place of the deployment's. */
export const loadRules = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ definition: RuleDefinition; enabled: boolean }>`
    select definition, enabled from mahalla.rule where tenant_id = ${tenantId} order by id`
})

export const loadHead = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ registry: string; sensitivity: number | null }>`
    select registry::text, sensitivity from mahalla.telemetry_head where tenant_id = ${tenantId}`
  return { registry: Number(row?.registry ?? 0), sensitivity: row?.sensitivity ?? undefined }
})

/** When the last batch that was judged had come in, epoch milliseconds; 0 before the first. Now, where that batch is not kept any more. */
export const loadJudgedAt = Effect.fnUntraced(function* (follower: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ at: number | null }>`
    select extract(epoch from b.received_at)::float8 * 1000 as at from mahalla.telemetry_progress p
    left join mahalla.reading_batch b on b.tenant_id = p.tenant_id and b.number = p.number
    where p.tenant_id = ${tenantId} and p.follower = ${follower}`
  return row === undefined ? 0 : (row.at ?? (yield* Clock.currentTimeMillis))
})

export const loadStates = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const devices = yield* sql<{ state: Uint8Array }>`
    select state from mahalla.device_state where tenant_id = ${tenantId}`
  const originators = yield* sql<{ state: StoredOriginator }>`
    select state from mahalla.rule_state where tenant_id = ${tenantId}`
  return { devices: devices.map(({ state }) => state), originators: originators.map(({ state }) => state) }
})
