/** Statements that store what came: readings with their batch, messages as they were, dead letters, what devices say of themselves. */
import * as Effect from "effect/Effect"
import { SqlError } from "effect/sql/SqlError"
import { TenantTx } from "../../kernel/db/Database.ts"
import { sent } from "../../kernel/db/pipelined.ts"
import { newId } from "../../kernel/ids.ts"
import type { IngestMessage } from "../../ports/DeviceIngest.ts"
import { numbers } from "./arrays.ts"
import type { Checked } from "./check.ts"
import type { EdgeNodeState } from "./decode/sparkplug/step.ts"
import type { DeviceStatus } from "./model.ts"
import { deviceNameOf, packMessages } from "./rawMessages.ts"
import type { DeadLetter } from "./read.ts"

export interface StoredBatch {
  /** Place in the tenant's order of batches; that of the one before when nothing was new. */
  readonly number: number
  /** Name of the transaction, in its readings. */
  readonly batch: number
  /** Readings that were not there before. */
  readonly stored: number
}

/** Stores readings that were checked under the registry `known`; fails with the SQL state MH001 when it is another by now. */
export const storeReadings = Effect.fnUntraced(function* (
  known: number,
  receivedAt: number,
  readings: ReadonlyArray<Checked>
) {
  const { sql } = yield* TenantTx
  const [row] = yield* sql<{ number: string; batch: string; stored: number }>`
    select number::text, batch::text, stored from mahalla.store_readings(${known}, ${receivedAt}, ${numbers(readings, ({ stream }) => stream.number)}::bigint[],
      ${numbers(readings, ({ at }) => at)}::float8[], ${numbers(readings, ({ sequence }) => sequence)}::bigint[],
      ${numbers(readings, ({ value }) => value)}::float8[], ${numbers(readings, ({ stream }) => stream.retention)}::smallint[],
      ${numbers(readings, ({ quality }) => quality)}::smallint[])`
  return { number: Number(row!.number), batch: Number(row!.batch), stored: row!.stored } satisfies StoredBatch
})

/**
 * Of readings that are taken in again, those that are not kept under another class: a profile's retention may have changed since they came, and
 * the same reading would count twice. Index: the table's own key.
 */
export const withoutKept = Effect.fnUntraced(function* (readings: ReadonlyArray<Checked>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ place: number }>`
    select r.place::int as place
    from unnest(${numbers(readings, ({ stream }) => stream.number)}::bigint[], ${numbers(readings, ({ at }) => at)}::float8[],
      ${numbers(readings, ({ sequence }) => sequence)}::bigint[], ${numbers(readings, ({ stream }) => stream.retention)}::smallint[])
      with ordinality as r (datastream, time, sequence, retention, place)
    where exists (
      select from mahalla.reading k where k.tenant_id = ${tenantId} and k.datastream = r.datastream and k.at = to_timestamp(r.time / 1000)
        and k.sequence = r.sequence and k.retention <> r.retention)`
  const kept = new Set(rows.map(({ place }) => place - 1))
  return kept.size === 0 ? readings : readings.filter((_, place) => !kept.has(place))
})

const stateOf = (error: unknown): string => {
  if (!(error instanceof SqlError)) return ""
  return String((error.reason as { readonly cause?: { readonly code?: unknown } }).cause?.code ?? "")
}

/** The registry has changed since the messages were read. */
export const isStale = (error: unknown): boolean => stateOf(error) === "MH001"
/** No partition for a time. */
export const isUnparted = (error: unknown): boolean => stateOf(error) === "23514"
/** The rows are at fault, not the database: integrity constraints and data exceptions. */
export const isPoisoned = (error: unknown): boolean => /^2[23]/.test(stateOf(error)) && !isUnparted(error)

/** Keeps messages as they came; before the readings, so that it costs no round trip. */
export const storeRaw = Effect.fnUntraced(function* (messages: ReadonlyArray<IngestMessage>) {
  const { sql, tenantId } = yield* TenantTx
  const raw = messages.map((message) => ({
    device: deviceNameOf(message),
    topic: message.topic,
    format: message.format,
    receivedAt: message.receivedAt,
    payload: message.payload
  }))
  let [first, last] = [Infinity, -Infinity]
  for (const { receivedAt } of raw) {
    first = Math.min(first, receivedAt)
    last = Math.max(last, receivedAt)
  }
  yield* sent(sql`
    insert into mahalla.raw_message (tenant_id, received_at, batch, until_at, messages, body)
    values (${tenantId}, ${new Date(first)}, nextval('mahalla.reading_batch_number'), ${new Date(last)}, ${raw.length}, ${packMessages(raw)})`)
})

/** A sender's text as PostgreSQL stores it: no NUL, and no half of a character, which cutting alone can make. */
const storable = (text: string, most: number): string =>
  text.slice(0, most).toWellFormed().replaceAll("\u0000", "\ufffd")

/** Keeps what could not be used. */
export const storeDead = Effect.fnUntraced(function* (dead: ReadonlyArray<DeadLetter>) {
  const { sql, tenantId } = yield* TenantTx
  const rows: Array<Record<string, unknown>> = []
  for (const { detail, device, message, name, reason } of dead) {
    rows.push({
      id: yield* newId,
      received_at: new Date(message.receivedAt).toISOString(),
      device_id: device?.id ?? null,
      device: storable(name, 200),
      topic: storable(message.topic, 1024),
      format: message.format,
      payload: Buffer.from(message.payload).toString("base64"),
      reason,
      detail: storable(detail, 1000),
      profile_id: device?.profile.id ?? null,
      profile_version: device?.profile.version ?? null,
      codec_version: device?.profile.definition.codec?.version ?? null
    })
  }
  yield* sent(sql`
    insert into mahalla.dead_letter (tenant_id, id, received_at, device_id, device, topic, format, payload, reason, detail, profile_id,
      profile_version, codec_version)
    select ${tenantId}, id, received_at, device_id, device, topic, format, decode(payload, 'base64'), reason, detail, profile_id,
      profile_version, codec_version
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as r (id uuid, received_at timestamptz, device_id uuid, device text, topic text,
      format text, payload text, reason text, detail text, profile_id uuid, profile_version integer, codec_version text)`)
})

/** Bytes that a device's attributes have in the database at most. */
const mostAttributes = 262_144

/** What a radio or a battery can say, with two decimals: columns of 32 bits take no other numbers. */
const modest = (value: number | undefined) =>
  value === undefined || !(Math.abs(value) <= 1e6) ? undefined : Math.round(value * 100) / 100

/** Battery, radio and attributes, the newest of each device. Attributes that would become too many are replaced by the newest message's. `receivedAt`: of the batch. */
export const storeStatuses = Effect.fnUntraced(function* (
  statuses: ReadonlyArray<DeviceStatus & { readonly deviceId: string }>,
  receivedAt: number
) {
  const { sql, tenantId } = yield* TenantTx
  const merged = new Map<string, DeviceStatus>()
  for (const status of [...statuses].sort((left, right) => left.at - right.at)) {
    const known = merged.get(status.deviceId)
    merged.set(status.deviceId, {
      ...known,
      ...status,
      attributes: { ...known?.attributes, ...status.attributes }
    })
  }
  // Whether it is there its last word says, in the order in which words came: its clock may be wrong.
  const gone = new Map(statuses.map(({ deviceId, offline }) => [deviceId, offline === true]))
  const json = JSON.stringify(
    // In one order everywhere: two batches that update the same devices must not wait for each other.
    [...merged]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([id, status]) => ({
        id,
        ...status,
        battery: modest(status.battery),
        rssi: modest(status.rssi),
        snr: modest(status.snr),
        offline: gone.get(id)
      }))
  )
  yield* sent(sql`
    with given as (
      select * from jsonb_to_recordset(${json}::text::jsonb) as r (id uuid, at double precision, battery real, rssi real, snr real,
        offline boolean, attributes jsonb)
    ), told as (
      update mahalla.device d set attributes = case
          when pg_column_size(d.attributes || g.attributes) <= ${mostAttributes} then d.attributes || g.attributes
          else g.attributes
        end
      from given g
      where d.tenant_id = ${tenantId} and d.id = g.id and g.attributes <> '{}' and pg_column_size(g.attributes) <= ${mostAttributes}
    )
    insert into mahalla.device_presence as p (tenant_id, device_id, seen_at, battery, rssi, snr, offline_since)
    select ${tenantId}, id, to_timestamp(at / 1000), battery, rssi, snr, case when offline then to_timestamp(${receivedAt / 1000}) end from given
    on conflict (tenant_id, device_id) do update set
      seen_at = greatest(p.seen_at, excluded.seen_at),
      battery = coalesce(excluded.battery, p.battery), rssi = coalesce(excluded.rssi, p.rssi), snr = coalesce(excluded.snr, p.snr),
      offline_since = coalesce(excluded.offline_since, p.offline_since)`)
})

/** What edge nodes' births and deaths have come to, in the transaction of their readings. */
export const storeNodes = Effect.fnUntraced(function* (nodes: ReadonlyMap<string, EdgeNodeState>) {
  const { sql, tenantId } = yield* TenantTx
  const json = JSON.stringify(
    [...nodes].sort(([left], [right]) => (left < right ? -1 : 1)).map(([id, state]) => ({ id, state }))
  )
  yield* sent(sql`
    insert into mahalla.edge_node as n (tenant_id, device_id, state)
    select ${tenantId}, id, state from jsonb_to_recordset(${json}::text::jsonb) as r (id uuid, state jsonb)
    on conflict (tenant_id, device_id) do update set state = excluded.state`)
})
