/** Devices: registered one by one or many at once, changed, blocked, listed with what was last heard of them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import { type FieldIssue, InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { territoriesOf } from "../../kernel/policy/decide.ts"
import { demand, rolesFor } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { ProfileDefinition } from "./profile.ts"
import { demandUnits, ensureDatastreams, measuredBy } from "./profiles.ts"
import { registryChanged } from "./registry.ts"
import { demandRulesFit } from "./ruleCheck.ts"

export interface NewDevice {
  readonly name: string
  readonly title?: string
  readonly profileId: string
  readonly parentId?: string | null
  readonly gateway?: boolean
  readonly groups?: ReadonlyArray<string>
  readonly territoryId?: string | null
  readonly longitude?: number | null
  readonly latitude?: number | null
  readonly assetId?: string | null
}

export interface DeviceChange extends Partial<Omit<NewDevice, "name">> {
  readonly status?: "active" | "blocked" | "retired"
}

export interface StoredDevice {
  readonly id: string
  readonly name: string
  readonly title: string
  readonly profileId: string
  readonly parentId: string | null
  readonly gateway: boolean
  readonly status: "active" | "blocked" | "retired"
  readonly groups: ReadonlyArray<string>
  readonly territoryId: string | null
  readonly territoryPath: ReadonlyArray<string>
  readonly longitude: number | null
  readonly latitude: number | null
  readonly assetId: string | null
  readonly attributes: Readonly<Record<string, unknown>>
  readonly createdAt: Date
  readonly seenAt: Date | null
  readonly offlineSince: Date | null
  readonly battery: number | null
  readonly rssi: number | null
  readonly snr: number | null
}

export interface DeviceFilter {
  readonly q?: string | undefined
  readonly profile?: string | undefined
  readonly group?: string | undefined
  readonly status?: string | undefined
  readonly offline?: boolean | undefined
  readonly territory?: string | undefined
  readonly gateway?: string | undefined
  readonly asset?: string | undefined
}

const pathOf = Effect.fnUntraced(function* (territoryId: string | null) {
  if (territoryId === null) return []
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ path: ReadonlyArray<string> }>`
    select path from mahalla.territory where tenant_id = ${tenantId} and id = ${territoryId}`
  return (
    row?.path ??
    (yield* new InvalidInput({ issues: [{ pointer: "/territoryId", detail: "There is no such territory." }] }))
  )
})

const select = (where: Fragment, rest: Fragment) =>
  Effect.flatMap(
    TenantTx,
    ({ sql, tenantId }) => sql<StoredDevice>`
    select d.id, d.name, d.title, d.profile_id as "profileId", d.parent_id as "parentId", d.gateway, d.status, d.groups,
      d.territory_id as "territoryId", coalesce(t.path, '{}') as "territoryPath", d.longitude, d.latitude, d.asset_id as "assetId", d.attributes,
      d.created_at as "createdAt", p.seen_at as "seenAt", p.offline_since as "offlineSince", p.battery, p.rssi, p.snr
    from mahalla.device d
    left join mahalla.territory t on t.tenant_id = d.tenant_id and t.id = d.territory_id
    left join mahalla.device_presence p on p.tenant_id = d.tenant_id and p.device_id = d.id
    where d.tenant_id = ${tenantId} and ${where} ${rest}`
  )

/** A device that the actor may see, else `NotFound`. */
export const getDevice = Effect.fn("telemetry.getDevice")(function* (id: string) {
  const { sql } = yield* TenantTx
  const [device] = yield* select(sql`d.id = ${id}`, sql``)
  const missing = new NotFound({ what: "device", id })
  if (device === undefined) return yield* missing
  yield* Effect.catchTag(demand("device.read", device), "Forbidden", () => Effect.fail(missing))
  return device
})

/** Those that the actor may see, by name; the cursor is the last one's name. */
export const listDevices = Effect.fn("telemetry.listDevices")(function* (
  filter: DeviceFilter,
  page: { readonly cursor?: string | undefined; readonly limit?: number | undefined }
) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const now = yield* Clock.currentTimeMillis
  const seen = territoriesOf(yield* rolesFor(actor), actor, "device.read", now)
  const limit = page.limit ?? 50
  const where: Array<Fragment> = [sql`true`]
  if (seen !== "all") where.push(sql`t.path && ${seen}::uuid[]`)
  if (page.cursor !== undefined) where.push(sql`d.name > ${page.cursor}`)
  if (filter.q !== undefined)
    where.push(sql`(strpos(lower(d.name), lower(${filter.q})) > 0 or strpos(lower(d.title), lower(${filter.q})) > 0)`)
  if (filter.profile !== undefined) where.push(sql`d.profile_id = ${filter.profile}`)
  if (filter.group !== undefined) where.push(sql`d.groups @> array[${filter.group}]::text[]`)
  if (filter.status !== undefined) where.push(sql`d.status = ${filter.status}`)
  if (filter.offline !== undefined)
    where.push(filter.offline ? sql`p.offline_since is not null` : sql`p.offline_since is null`)
  if (filter.territory !== undefined)
    where.push(
      sql`d.territory_id in (select id from mahalla.territory where tenant_id = ${tenantId} and ${filter.territory} = any (path))`
    )
  if (filter.gateway !== undefined) where.push(sql`d.parent_id = ${filter.gateway}`)
  if (filter.asset !== undefined) where.push(sql`d.asset_id = ${filter.asset}`)
  const rows = yield* select(sql.and(where), sql`order by d.name limit ${limit + 1}`)
  const items = rows.slice(0, limit)
  return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.name } : {}) }
})

/** What the rows refer to is there; else an issue for each that is not. */
const demandReferences = Effect.fnUntraced(function* (
  devices: ReadonlyArray<DeviceChange>,
  pointerOf: (place: number) => string
) {
  const { sql, tenantId } = yield* TenantTx
  const profiles = devices.flatMap(({ profileId }) => profileId ?? [])
  const parents = devices.flatMap(({ parentId }) => parentId ?? [])
  const known = new Set(
    (yield* sql<{ id: string }>`
      select id from mahalla.device_profile where tenant_id = ${tenantId} and id = any (${profiles}::uuid[])
      union all select id from mahalla.device where tenant_id = ${tenantId} and id = any (${parents}::uuid[]) and gateway`).map(
      ({ id }) => id
    )
  )
  const issues = devices.flatMap(({ latitude, longitude, parentId, profileId }, place): ReadonlyArray<FieldIssue> => [
    ...(profileId === undefined || known.has(profileId)
      ? []
      : [{ pointer: `${pointerOf(place)}/profileId`, detail: "There is no such device profile." }]),
    ...(parentId == null || known.has(parentId)
      ? []
      : [{ pointer: `${pointerOf(place)}/parentId`, detail: "There is no such gateway." }]),
    ...((longitude == null) === (latitude == null)
      ? []
      : [{ pointer: `${pointerOf(place)}/latitude`, detail: "Give longitude and latitude, or neither." }])
  ])
  if (issues.length > 0) return yield* new InvalidInput({ issues: issues.slice(0, 50) })
})

/** Registers devices, all or none; at most 1,000 at once. Names that are taken are named by the issue. */
export const createDevices = Effect.fn("telemetry.createDevices")(function* (
  devices: ReadonlyArray<NewDevice>,
  pointerOf: (place: number) => string
) {
  const { sql, tenantId } = yield* TenantTx
  for (const territory of new Set(devices.map(({ territoryId = null }) => territoryId)))
    yield* demand("device.manage", { territoryPath: yield* pathOf(territory) })
  yield* demandReferences(devices, pointerOf)
  const changed = yield* registryChanged
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows: Array<NewDevice & { readonly id: string }> = []
  for (const device of devices) rows.push({ ...device, id: yield* newId })
  const made = yield* sql<{ name: string }>`
    insert into mahalla.device (tenant_id, id, name, title, profile_id, parent_id, gateway, groups, territory_id, longitude, latitude, asset_id,
      created_at, changed)
    select ${tenantId}, id, name, coalesce(title, ''), "profileId", "parentId", coalesce(gateway, false),
      coalesce(array(select jsonb_array_elements_text(groups)), '{}'), "territoryId", longitude, latitude, "assetId", ${now}, ${changed}
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as r (id uuid, name text, title text, "profileId" uuid, "parentId" uuid,
      gateway boolean, groups jsonb, "territoryId" uuid, longitude float8, latitude float8, "assetId" uuid)
    on conflict (tenant_id, name) do nothing returning name`
  if (made.length < rows.length) {
    const names = new Set(made.map(({ name }) => name))
    const issues = rows.flatMap(({ name }, place) =>
      // Of two that are called the same the second is at fault.
      names.delete(name) ? [] : [{ pointer: `${pointerOf(place)}/name`, detail: `There is a device ${name} already.` }]
    )
    return yield* new InvalidInput({ issues: issues.slice(0, 50) })
  }
  for (const profile of new Set(rows.map(({ profileId }) => profileId)))
    yield* ensureDatastreams(
      profile,
      rows.flatMap(({ id, profileId }) => (profileId === profile ? id : []))
    )
  return rows.map(({ id, name }) => ({ id, name }))
})

/**
 * Changes a device; what is not given stays. Blocking it acts on its next message. Another profile is refused where it measures a key in another unit,
 * or where a rule in force names the device and needs what the profile does not have.
 */
export const changeDevice = Effect.fn("telemetry.changeDevice")(function* (id: string, change: DeviceChange) {
  const { sql, tenantId } = yield* TenantTx
  const before = yield* getDevice(id)
  yield* demand("device.manage", before)
  const territoryId = change.territoryId === undefined ? before.territoryId : change.territoryId
  if (territoryId !== before.territoryId) yield* demand("device.manage", { territoryPath: yield* pathOf(territoryId) })
  yield* demandReferences([change], () => "")
  const after = { ...before, ...change }
  const changed = yield* registryChanged
  if (after.profileId !== before.profileId) {
    const [profile] = yield* sql<{ name: string; definition: ProfileDefinition }>`
      select name, definition from mahalla.device_profile where tenant_id = ${tenantId} and id = ${after.profileId}`
    yield* demandUnits(profile!.definition, yield* measuredBy([id]), "/profileId")
    yield* demandRulesFit({ device: id, profile: profile!.name })
  }
  yield* sql`
    update mahalla.device set title = ${after.title}, profile_id = ${after.profileId}, parent_id = ${after.parentId ?? null},
      gateway = ${after.gateway}, status = ${after.status}, groups = ${after.groups}::text[], territory_id = ${territoryId},
      longitude = ${after.longitude ?? null}, latitude = ${after.latitude ?? null}, asset_id = ${after.assetId ?? null}, changed = ${changed}
    where tenant_id = ${tenantId} and id = ${id}`
  if (after.profileId !== before.profileId) yield* ensureDatastreams(after.profileId, [id])
  return yield* getDevice(id)
})
