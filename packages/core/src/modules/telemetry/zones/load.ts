/** Zones as the follower needs them, and what it has written of them. */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../../kernel/db/Database.ts"
import type { LeakGroup } from "../leaks/group.ts"
import { factorOf, type ZoneSensor } from "./definition.ts"
import { unpackEffects } from "./effects.ts"

interface Position {
  readonly longitude: number
  readonly latitude: number
}

export interface LoadedZone {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly group: LeakGroup
  /** Of each sensor: the number of its datastream, and what its readings are multiplied by. */
  readonly streams: ReadonlyArray<{ readonly number: number; readonly factor: number }>
  /** SHA-256 of what a state is of. */
  readonly sensorsHash: Buffer
  readonly placesHash: Buffer
  /** Where a place is on the map: at the sensor that it is, else at the one that a leak there lowers most. */
  readonly positionOf: (place: string) => Position | undefined
  /** Of all its sensors. */
  readonly middle: Position | undefined
}

interface Row {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly sensors: ReadonlyArray<ZoneSensor>
  readonly places: ReadonlyArray<string> | null
  readonly effects: Uint8Array | null
}

interface Datastream {
  readonly id: string
  readonly number: string
  readonly key: string
  readonly unit: string
  readonly device: string
  readonly title: string
  readonly longitude: number | null
  readonly latitude: number | null
}

const sha256 = (...parts: ReadonlyArray<string | Uint8Array>) => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** For people, and short: an alert names up to fifty. */
const nameOf = (device: string, key: string) =>
  Array.from(`${device} ${key}`.replaceAll(/\p{Cc}/gu, " "))
    .slice(0, 100)
    .join("")

const positionsOf = ({ places, sensors }: LeakGroup, positions: ReadonlyArray<Position | undefined>) => {
  const known = positions.filter((position) => position !== undefined)
  const mean = (of: (position: Position) => number) => known.reduce((sum, one) => sum + of(one), 0) / known.length
  const middle =
    known.length === 0 ? undefined : { longitude: mean((one) => one.longitude), latitude: mean((one) => one.latitude) }
  const positionOf = (name: string) => {
    const effects = places?.find((place) => place.name === name)?.effects
    let found = sensors.findIndex((sensor) => sensor.kind === "pressure" && sensor.name === name)
    if (effects !== undefined)
      sensors.forEach(({ kind }, sensor) => {
        if (kind === "pressure" && positions[sensor] !== undefined && !(effects[sensor]! >= (effects[found] ?? 0)))
          found = sensor
      })
    return positions[found] ?? middle
  }
  return { middle, positionOf }
}

const zoneOf = (row: Row, timeZone: string, datastreams: ReadonlyMap<string, Datastream>): LoadedZone => {
  const known = row.sensors.map((sensor) => ({ ...sensor, datastream: datastreams.get(sensor.datastreamId)! }))
  const group: LeakGroup = {
    timeZone,
    sensors: known.map(({ datastream: { device, key, title }, datastreamId, role, tankLevel }) => ({
      id: datastreamId,
      kind: role,
      name: nameOf(title || device, key),
      ...(tankLevel === undefined ? {} : { tankLevel })
    })),
    ...(row.places === null || row.effects === null ? {} : { places: unpackEffects(row.places, row.effects) })
  }
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    group,
    streams: known.map(({ datastream, role }) => ({
      number: Number(datastream.number),
      factor: factorOf(role, datastream.unit) ?? Number.NaN
    })),
    sensorsHash: sha256(
      JSON.stringify([
        timeZone,
        row.sensors.map(({ datastreamId, role, tankLevel }) => [datastreamId, role, tankLevel])
      ])
    ),
    placesHash: sha256(JSON.stringify(row.places), row.effects ?? ""),
    ...positionsOf(
      group,
      known.map(({ datastream: { latitude, longitude } }) =>
        longitude === null || latitude === null ? undefined : { longitude, latitude }
      )
    )
  }
}

/** Versions of all zones, and how often their leaks were accepted. */
export const loadVersions = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ id: string; version: number; accepted: number }>`
    select id, version, accepted from mahalla.hydraulic_zone where tenant_id = ${tenantId} order by id`
})

export const loadZones = Effect.fnUntraced(function* (ids: ReadonlyArray<string>, timeZone: string) {
  if (ids.length === 0) return []
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Row>`
    select id, name, version, sensors, places, effects from mahalla.hydraulic_zone
    where tenant_id = ${tenantId} and id = any (${ids}::uuid[]) order by id`
  const named = [...new Set(rows.flatMap(({ sensors }) => sensors.map(({ datastreamId }) => datastreamId)))]
  const datastreams = yield* sql<Datastream>`
    select s.id, s.number::text, s.key, s.unit, d.name as device, d.title, d.longitude, d.latitude
    from mahalla.datastream s join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id
    where s.tenant_id = ${tenantId} and s.id = any (${named}::uuid[])`
  const byId = new Map(datastreams.map((datastream) => [datastream.id, datastream]))
  return rows.map((row) => zoneOf(row, timeZone, byId))
})

export interface StoredState {
  readonly zoneId: string
  readonly sensors: Uint8Array
  readonly places: Uint8Array
  readonly accepted: number
  readonly state: Uint8Array
  readonly judgedAt: Date | null
}

export const loadStates = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredState>`
    select zone_id as "zoneId", sensors, places, accepted, night || learnt as state, judged_at as "judgedAt"
    from mahalla.hydraulic_zone_state where tenant_id = ${tenantId}`
})
