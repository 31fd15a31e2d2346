/** Rotations of a rota as rows: who takes turns, and when they hand over. */
import * as Effect from "effect/Effect"
import { clockOf, dateOf, minutesOf, type Day } from "../../kernel/deadlines/calendar.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import type { Rotation } from "./rota.ts"

/** Local dates and times in the tenant's time zone. */
export interface GivenRotation {
  readonly layer: number
  /** In their order; null where somebody is gone: the next one takes their turns. */
  readonly members: ReadonlyArray<string | null>
  /** `YYYY-MM-DD` of the first handover; the others are on the same weekday. */
  readonly begins: string
  /** `HH:MM`. */
  readonly handover: string
  /** How long a turn is. */
  readonly weeks: number
}

export const insertRotations = Effect.fnUntraced(function* (rotaId: string, rotations: ReadonlyArray<GivenRotation>) {
  if (rotations.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  const rows = []
  for (const { begins, handover, layer, members, weeks } of rotations)
    rows.push({ id: yield* newId, layer, begins, handover_minute: minutesOf(handover), weeks, members })
  const json = JSON.stringify(rows)
  yield* sql`
    insert into mahalla.rota_rotation (tenant_id, id, rota_id, layer, begins, handover_minute, weeks)
    select ${tenantId}, id, ${rotaId}, layer, begins, handover_minute, weeks
    from jsonb_to_recordset(${json}::text::jsonb) as given
      (id uuid, layer integer, begins date, handover_minute integer, weeks integer)`
  yield* sql`
    insert into mahalla.rota_member (tenant_id, rotation_id, place, principal_id)
    select ${tenantId}, id, place - 1, (member #>> '{}')::uuid
    from jsonb_to_recordset(${json}::text::jsonb) as given (id uuid, members jsonb),
      jsonb_array_elements(members) with ordinality as turn (member, place)`
})

interface RotationRow {
  readonly rotaId: string
  readonly layer: number
  readonly begins: Day
  readonly handover: number
  readonly weeks: number
  readonly members: ReadonlyArray<string | null>
}

/** Rotations of some rotas. `active`: members who are no longer active are left out of their place. Index `rota_rotation_rota`. */
const selectRotations = Effect.fnUntraced(function* (rotas: ReadonlyArray<string>, active: boolean) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<RotationRow>`
    select r.rota_id as "rotaId", r.layer, r.begins - date '1970-01-01' as begins, r.handover_minute as handover, r.weeks, (
        select array_agg(p.id order by m.place) from mahalla.rota_member m
        left join mahalla.principal p on p.tenant_id = m.tenant_id and p.id = m.principal_id
          and (${!active} or p.status = 'active')
        where m.tenant_id = r.tenant_id and m.rotation_id = r.id
      ) as members
    from mahalla.rota_rotation r
    where r.tenant_id = ${tenantId} and r.rota_id = any (${rotas}::uuid[]) order by r.rota_id, r.layer, r.id`
})

/** As they were given. */
export const rotationsOf = Effect.fnUntraced(function* (rotas: ReadonlyArray<string>) {
  const rows = yield* selectRotations(rotas, false)
  return rows.map(({ begins, handover, layer, members, rotaId, weeks }) => ({
    rotaId,
    rotation: { layer, members, begins: dateOf(begins), handover: clockOf(handover), weeks } satisfies GivenRotation
  }))
})

/** As they count. */
export const turnsOf = (rotaId: string): Effect.Effect<ReadonlyArray<Rotation>, unknown, TenantTx> =>
  selectRotations([rotaId], true)
