/** Datastreams as people look them up, with their newest value. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { territoriesOf } from "../../kernel/policy/decide.ts"
import { demand, rolesFor } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { getDevice } from "./devices.ts"

export interface Latest {
  readonly deviceId: string
  readonly datastreamId: string
  readonly key: string
  readonly unit: string
  /** Null before the first reading. */
  readonly at: Date | null
  readonly value: number | null
  readonly quality: number | null
  readonly receivedAt: Date | null
}

export interface StoredDatastream {
  readonly id: string
  readonly number: number
  readonly deviceId: string
  readonly device: string
  readonly key: string
  readonly unit: string
  readonly retentions: ReadonlyArray<number>
}

/** A datastream whose readings the actor may see, else `NotFound`. */
export const getDatastream = Effect.fn("telemetry.getDatastream")(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<
    Omit<StoredDatastream, "number" | "retentions"> & {
      number: string
      retentions: string
      territoryPath: ReadonlyArray<string>
    }
  >`
    select s.id, s.number::text, s.device_id as "deviceId", d.name as device, s.key, s.unit, array_to_string(s.retentions, ',') as retentions,
      coalesce(t.path, '{}') as "territoryPath"
    from mahalla.datastream s join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id
    left join mahalla.territory t on t.tenant_id = d.tenant_id and t.id = d.territory_id
    where s.tenant_id = ${tenantId} and s.id = ${id}`
  const missing = new NotFound({ what: "datastream", id })
  if (row === undefined) return yield* missing
  yield* Effect.catchTag(demand("reading.read", row), "Forbidden", () => Effect.fail(missing))
  const { territoryPath: _path, ...datastream } = row
  return {
    ...datastream,
    number: Number(row.number),
    retentions: row.retentions.split(",").map(Number)
  } satisfies StoredDatastream
})

/** Newest values of devices that the actor may see; of all their datastreams, or of the named ones. At most 1,000 devices. */
export const latestOf = Effect.fn("telemetry.latest")(function* (
  devices: ReadonlyArray<string>,
  keys: ReadonlyArray<string> | undefined
) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const now = yield* Clock.currentTimeMillis
  const seen = territoriesOf(yield* rolesFor(actor), actor, "reading.read", now)
  return yield* sql<Latest>`
    select s.device_id as "deviceId", s.id as "datastreamId", s.key, s.unit, l.at, l.value, l.quality::int as quality, l.received_at as "receivedAt"
    from mahalla.datastream s
    join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id
    left join mahalla.territory t on t.tenant_id = d.tenant_id and t.id = d.territory_id
    left join mahalla.datastream_last l on l.tenant_id = s.tenant_id and l.datastream = s.number
    where s.tenant_id = ${tenantId} and s.device_id = any (${devices}::uuid[])
      and (${keys ?? null}::text[] is null or s.key = any (${keys ?? null}::text[]))
      and ${seen === "all" ? sql`true` : sql`t.path && ${seen}::uuid[]`}
    order by s.device_id, s.key`
})

export const datastreamsOf = Effect.fn("telemetry.datastreamsOf")(function* (deviceId: string) {
  const device = yield* getDevice(deviceId)
  yield* demand("reading.read", device)
  return yield* latestOf([deviceId], undefined)
})
