/** A batch as those who watch take it: by device, with the text of each reading made once however many it goes to. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../../kernel/db/Database.ts"
import type { Checked } from "../check.ts"
import type { Batch } from "../Follower.ts"
import type { Device } from "../registry.ts"

/** Where a device is, as far as rights and filters ask. */
export interface DevicePlace {
  readonly groups: ReadonlyArray<string>
  /** Its territory with all ancestors; empty when it has none. */
  readonly territoryPath: ReadonlyArray<string>
}

/** What one device sent. */
export interface LiveDevice {
  readonly id: string
  readonly place: DevicePlace
  readonly readings: ReadonlyArray<{
    readonly key: string
    /** An object as JSON: `deviceId`, `device`, `key`, `unit`, `at`, `value`, `quality`, `sequence`. */
    readonly json: string
  }>
  /** All of them, joined by commas. */
  readonly json: string
}

export interface LiveBatch {
  /** Place in the tenant's order of batches. */
  readonly number: number
  readonly readings: number
  readonly devices: ReadonlyArray<LiveDevice>
  /** All of them, joined by commas. */
  readonly json: string
}

/** A changed device is another object in the registry, so what is known of one stays true. Territories do not move in their tree. */
export type Places = WeakMap<Device, DevicePlace>

const nowhere: DevicePlace = { groups: [], territoryPath: [] }

/** Looks up where devices are, unless it is known. */
const loadPlaces = Effect.fnUntraced(function* (places: Places, devices: ReadonlySet<Device>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<DevicePlace & { readonly id: string }>`
    select d.id, d.groups, coalesce(t.path, '{}') as "territoryPath" from mahalla.device d
    left join mahalla.territory t on t.tenant_id = d.tenant_id and t.id = d.territory_id
    where d.tenant_id = ${tenantId} and d.id = any (${[...devices].map(({ id }) => id)}::uuid[])`
  const byId = new Map(rows.map(({ id, ...place }) => [id, place]))
  for (const device of devices) places.set(device, byId.get(device.id) ?? nowhere)
})

const textOf = ({ at, quality, sequence, stream, value }: Checked): string =>
  JSON.stringify({
    deviceId: stream.device.id,
    device: stream.device.name,
    key: stream.definition.key,
    unit: stream.definition.unit,
    at: new Date(at).toISOString(),
    value,
    quality,
    sequence
  })

/** In the caller's tenant. Asks the database only for devices that it has not heard of. */
export const liveBatches = Effect.fnUntraced(function* (places: Places, batches: ReadonlyArray<Batch>) {
  const unknown = new Set<Device>()
  for (const { readings } of batches)
    for (const { stream } of readings) if (!places.has(stream.device)) unknown.add(stream.device)
  if (unknown.size > 0) yield* loadPlaces(places, unknown)
  return batches.map(({ number, readings }): LiveBatch => {
    const byDevice = new Map<Device, Array<{ readonly key: string; readonly json: string }>>()
    for (const reading of readings) {
      const one = { key: reading.stream.definition.key, json: textOf(reading) }
      const found = byDevice.get(reading.stream.device)
      if (found === undefined) byDevice.set(reading.stream.device, [one])
      else found.push(one)
    }
    const devices = [...byDevice].map(([device, sent]): LiveDevice => ({
      id: device.id,
      place: places.get(device) ?? nowhere,
      readings: sent,
      json: sent.map(({ json }) => json).join(",")
    }))
    return { number, readings: readings.length, devices, json: devices.map(({ json }) => json).join(",") }
  })
})
