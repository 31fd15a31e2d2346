/**
 * What ingest knows of the devices of a tenant, in memory: loaded when a device is first heard of, and dropped when it changes. Each change counts
 * up the tenant's registry number, and readings are stored under the number they were read with, so that nothing is ever stored for a device that
 * was blocked a moment ago.
 */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { DatastreamDefinition } from "./model.ts"
import type { ProfileDefinition, RetentionClass } from "./profile.ts"

export interface Profile {
  readonly id: string
  readonly version: number
  readonly definition: ProfileDefinition
}

export interface Stream {
  /** Stands in readings. */
  readonly number: number
  readonly definition: DatastreamDefinition
  readonly retention: RetentionClass
  readonly device: Device
}

export interface Device {
  readonly id: string
  readonly name: string
  readonly profile: Profile
  readonly parentId: string | null
  readonly gateway: boolean
  readonly blocked: boolean
  /** As it was when the device was loaded. */
  readonly downlink: string | null
  /** By key. */
  readonly streams: ReadonlyMap<string, Stream>
}

/** One tenant's. */
export interface Registry {
  number: number
  readonly byName: Map<string, Device>
  readonly byId: Map<string, Device>
  readonly byStream: Map<number, Stream>
}

export const emptyRegistry = (): Registry => ({
  number: 0,
  byName: new Map(),
  byId: new Map(),
  byStream: new Map()
})

interface DeviceRow {
  readonly id: string
  readonly name: string
  readonly profileId: string
  readonly parentId: string | null
  readonly gateway: boolean
  readonly downlink: string | null
  readonly status: string
  readonly streams: ReadonlyArray<{ readonly number: number; readonly key: string }>
}

const forget = (registry: Registry, device: Device) => {
  registry.byName.delete(device.name)
  registry.byId.delete(device.id)
  for (const { number } of device.streams.values()) registry.byStream.delete(number)
}

/** Drops what has changed since it was read; returns the number from here on. */
export const refreshRegistry = Effect.fnUntraced(function* (registry: Registry) {
  const { sql, tenantId } = yield* TenantTx
  // Asked first: what is loaded after it is of this number or newer, and readings stored under a number that is too old are refused.
  const [head] = yield* sql<{ number: string }>`
    select registry::text as number from mahalla.telemetry_head where tenant_id = ${tenantId}`
  const number = Number(head?.number ?? 0)
  if (number === registry.number) return number
  if (registry.number === 0) {
    registry.number = number
    return number
  }
  const changed = yield* sql<{ id: string }>`
    select id from mahalla.device where tenant_id = ${tenantId} and changed > ${registry.number}
    union
    select d.id from mahalla.device_profile p join mahalla.device d on d.tenant_id = p.tenant_id and d.profile_id = p.id
    where p.tenant_id = ${tenantId} and p.changed > ${registry.number}`
  for (const { id } of changed) {
    const known = registry.byId.get(id)
    if (known !== undefined) forget(registry, known)
  }
  registry.number = number
  return number
})

const addRows = Effect.fnUntraced(function* (registry: Registry, rows: ReadonlyArray<DeviceRow>) {
  const { sql, tenantId } = yield* TenantTx
  if (rows.length === 0) return
  const profiles = yield* sql<Profile>`
    select id, version, definition from mahalla.device_profile
    where tenant_id = ${tenantId} and id = any (${[...new Set(rows.map(({ profileId }) => profileId))]}::uuid[])`
  const byId = new Map(profiles.map((profile) => [profile.id, profile]))
  for (const row of rows) {
    const profile = byId.get(row.profileId)!
    const definitions = new Map(profile.definition.datastreams.map((one) => [one.key, one]))
    const streams = new Map<string, Stream>()
    const device: Device = {
      id: row.id,
      name: row.name,
      profile,
      parentId: row.parentId,
      gateway: row.gateway,
      downlink: row.downlink,
      blocked: row.status !== "active",
      streams
    }
    for (const { key, number } of row.streams) {
      const definition = definitions.get(key)
      // A datastream that the profile has dropped keeps its readings and takes no more.
      if (definition === undefined) continue
      const stream = { number, definition, retention: profile.definition.retention, device }
      streams.set(key, stream)
      registry.byStream.set(number, stream)
    }
    registry.byName.set(device.name, device)
    registry.byId.set(device.id, device)
  }
})

/** Loads devices by their names, where they are not known yet. */
export const loadByName = Effect.fnUntraced(function* (registry: Registry, names: Iterable<string>) {
  const missing = [...new Set(names)].filter((name) => !registry.byName.has(name))
  if (missing.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<DeviceRow>`
    select d.id, d.name, d.profile_id as "profileId", d.parent_id as "parentId", d.gateway, d.downlink, d.status,
      (select coalesce(jsonb_agg(jsonb_build_object('number', s.number, 'key', s.key)), '[]') from mahalla.datastream s
        where s.tenant_id = d.tenant_id and s.device_id = d.id) as streams
    from mahalla.device d where d.tenant_id = ${tenantId} and d.name = any (${missing}::text[])`
  yield* addRows(registry, rows)
})

/** Loads the devices of datastreams, where they are not known yet. */
export const loadByStream = Effect.fnUntraced(function* (registry: Registry, numbers: Iterable<number>) {
  const missing = [...new Set(numbers)].filter((number) => !registry.byStream.has(number))
  if (missing.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ name: string }>`
    select distinct d.name from mahalla.datastream s join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id
    where s.tenant_id = ${tenantId} and s.number = any (${missing}::bigint[])`
  yield* loadByName(
    registry,
    rows.map(({ name }) => name)
  )
})

/** Counts the registry up, in the transaction of a change; returns the number for the changed rows. */
export const registryChanged = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const [head] = yield* sql<{ number: string }>`
    insert into mahalla.telemetry_head as head (tenant_id, registry) values (${tenantId}, 1)
    on conflict (tenant_id) do update set registry = head.registry + 1 returning registry::text as number`
  return Number(head!.number)
})
