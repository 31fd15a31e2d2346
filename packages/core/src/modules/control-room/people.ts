/** People in the control room: those whom rotas and ladders name, and what is held of them. */
import * as Effect from "effect/Effect"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"

/** Fails with `InvalidInput` where somebody is no active principal of the tenant. */
export const demandPeople = Effect.fnUntraced(function* (
  named: ReadonlyArray<{ readonly id: string; readonly pointer: string }>
) {
  const { sql, tenantId } = yield* TenantTx
  const ids = named.map(({ id }) => id)
  const found = yield* sql<{ id: string }>`
    select id from mahalla.principal where tenant_id = ${tenantId} and id = any (${ids}::uuid[]) and status = 'active'`
  const known = new Set(found.map(({ id }) => id))
  const issues = named
    .filter(({ id }) => !known.has(id))
    .map(({ pointer }) => ({ pointer, detail: "There is no active principal of this id." }))
  if (issues.length > 0) return yield* new InvalidInput({ issues })
})

/** Their hours and what they did; the log of an asset keeps its lines when they go, and no name is in it. */
export const controlRoomOfPerson: PersonPart = {
  id: "controlRoom",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const shifts = yield* sql`
      select r.name as rota, s.days, s.from_minute as "fromMinute", s.to_minute as "toMinute" from mahalla.rota_shift s
      join mahalla.rota r on r.tenant_id = s.tenant_id and r.id = s.rota_id
      where s.tenant_id = ${tenantId} and s.principal_id = ${personId} order by s.id`
    const rotations = yield* sql`
      select r.name as rota, t.begins::text as begins, t.weeks, m.place from mahalla.rota_member m
      join mahalla.rota_rotation t on t.tenant_id = m.tenant_id and t.id = m.rotation_id
      join mahalla.rota r on r.tenant_id = t.tenant_id and r.id = t.rota_id
      where m.tenant_id = ${tenantId} and m.principal_id = ${personId} order by m.rotation_id, m.place`
    const overrides = yield* sql`
      select r.name as rota, o.from_at as "from", o.until_at as until from mahalla.rota_override o
      join mahalla.rota r on r.tenant_id = o.tenant_id and r.id = o.rota_id
      where o.tenant_id = ${tenantId} and o.principal_id = ${personId} order by o.id`
    const maintenance = yield* sql`
      select id, asset_id as "assetId", done_at as "at", kind, what from mahalla.maintenance_log
      where tenant_id = ${tenantId} and done_by = ${personId} order by id`
    const windows = yield* sql`
      select id, from_at as "from", until_at as until, reason from mahalla.maintenance_window
      where tenant_id = ${tenantId} and created_by = ${personId} order by id`
    return { shifts, rotations, overrides, maintenance, windows }
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.rota_shift where tenant_id = ${tenantId} and principal_id = ${personId}`
    // Their place stays, so that the others keep their weeks.
    yield* sql`update mahalla.rota_member set principal_id = null where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.rota_override where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.ladder_step where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`update mahalla.maintenance_log set done_by = null where tenant_id = ${tenantId} and done_by = ${personId}`
    yield* sql`update mahalla.maintenance_window set created_by = null where tenant_id = ${tenantId} and created_by = ${personId}`
  })
}
