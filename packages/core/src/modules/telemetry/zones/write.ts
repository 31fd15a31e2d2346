/** What the follower writes of zones, in the transaction that moves its place: states, leaks, and what the control room is told of them. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../../kernel/db/Database.ts"
import { type AlertEffect, applyAlertEffects } from "../../control-room/index.ts"
import { encodeLeakState, nightBytes } from "../leaks/codec.ts"
import { knownLeaks } from "../leaks/detector.ts"
import { type LeakFound, parameters } from "../leaks/group.ts"
import { raiseLeak, refineLeak } from "./alert.ts"
import type { Watched } from "./watched.ts"

/** Zones that are still there; a removal waits until they are written. */
const standing = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select id from mahalla.hydraulic_zone where tenant_id = ${tenantId} and id = any (${ids}::uuid[]) order by id for key share`
  return new Set(rows.map(({ id }) => id))
})

const writeState = Effect.fnUntraced(function* ({ accepted, judgedAt, state, turned, zone }: Watched) {
  const { sql, tenantId } = yield* TenantTx
  const bytes = Buffer.from(encodeLeakState(state))
  const night = bytes.subarray(0, nightBytes(state))
  if (!turned) {
    yield* sql`
      update mahalla.hydraulic_zone_state set night = ${night} where tenant_id = ${tenantId} and zone_id = ${zone.id}`
    return
  }
  const silent =
    judgedAt === undefined ? [] : zone.group.sensors.filter((_, sensor) => Number.isNaN(state.before[sensor]!))
  yield* sql`
    insert into mahalla.hydraulic_zone_state as s
      (tenant_id, zone_id, sensors, places, accepted, night, learnt, nights, judged_at, silent)
    values (${tenantId}, ${zone.id}, ${zone.sensorsHash}, ${zone.placesHash}, ${accepted}, ${night}, ${bytes.subarray(night.length)},
            ${state.baseline.nights}, ${judgedAt === undefined ? null : new Date(judgedAt)}, ${silent.map(({ id }) => id)}::uuid[])
    on conflict (tenant_id, zone_id) do update set sensors = excluded.sensors, places = excluded.places, accepted = excluded.accepted,
      night = excluded.night, learnt = excluded.learnt, nights = excluded.nights, judged_at = excluded.judged_at, silent = excluded.silent`
})

/** A place at which a leak would change nothing tells no flow. */
const finite = (flow: number | undefined) => (Number.isFinite(flow) ? flow! : null)

const insertLeak = Effect.fnUntraced(function* (zoneId: string, found: LeakFound) {
  const { sql, tenantId } = yield* TenantTx
  const { at, explanation, flow, place = null, score, since, zone } = found
  yield* sql`
    insert into mahalla.leak (tenant_id, zone_id, found_at, since, place, places, flow, score, explanation)
    values (${tenantId}, ${zoneId}, ${new Date(at)}, ${new Date(since)}, ${place}, ${zone}::text[], ${finite(flow)}::float8, ${score}::float8,
            ${explanation})
    on conflict do nothing`
})

/** What later nights have told of known leaks: a matter of some weeks, then it stays. */
const refine = Effect.fnUntraced(function* ({ judgedAt, state, zone }: Watched) {
  const { sql, tenantId } = yield* TenantTx
  if (judgedAt === undefined || !state.known.some(({ nights }) => nights > 0 && nights <= parameters.settle)) return []
  const where = knownLeaks(zone.group, state)
  const effects: Array<AlertEffect> = []
  for (const [number, { at, nights }] of state.known.entries()) {
    const now = where[number]
    if (now === undefined || nights === 0 || nights > parameters.settle) continue
    const [row] = yield* sql<{ since: Date; score: number; explanation: string }>`
      update mahalla.leak set place = ${now.place}, places = ${now.zone}::text[], flow = ${finite(now.flow)}::float8
      where tenant_id = ${tenantId} and zone_id = ${zone.id} and found_at = ${new Date(at)}
      returning since, score, explanation`
    if (row !== undefined) effects.push(refineLeak(zone, { ...row, at, since: row.since.getTime() }, judgedAt, now))
  }
  return effects
})

const tell = Effect.fnUntraced(function* (
  zoneId: string,
  found: ReadonlyArray<LeakFound>,
  effects: ReadonlyArray<AlertEffect>
) {
  const { sql, tenantId } = yield* TenantTx
  const outcomes = yield* applyAlertEffects(effects)
  for (const [number, { at }] of found.entries())
    yield* sql`
      update mahalla.leak set alert_id = ${outcomes[number]!.caseId}
      where tenant_id = ${tenantId} and zone_id = ${zoneId} and found_at = ${new Date(at)}`
})

export const writeZones = Effect.fnUntraced(function* (watched: ReadonlyArray<Watched>) {
  const there = yield* standing(watched.map(({ zone }) => zone.id))
  for (const one of watched) {
    if (!there.has(one.zone.id)) continue
    const { found, turned, zone } = one
    yield* writeState(one)
    for (const leak of found) yield* insertLeak(zone.id, leak)
    const effects = [...found.map((leak) => raiseLeak(zone, leak)), ...(turned ? yield* refine(one) : [])]
    if (effects.length > 0) yield* tell(zone.id, found, effects)
  }
})
