/** Rotas as rows: who has which weekly hours, who takes turns, and who stands in. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput, NotFound, Refused, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { newId } from "../../kernel/ids.ts"
import { clockOf, minutesOf } from "../../kernel/deadlines/calendar.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { demandPeople } from "./people.ts"
import { onCall, type Override, type Shift } from "./rota.ts"
import { type GivenRotation, insertRotations, rotationsOf, turnsOf } from "./rotations.ts"

/** A rota was made, changed or removed, or somebody stands in. */
export const RotaChanged = defineEvent({
  id: "rota.changed",
  payload: Schema.Struct({
    rotaId: Schema.String,
    name: Schema.String,
    what: Schema.Literals(["created", "replaced", "removed", "override-added", "override-removed"])
  })
})

const announce = (rota: { readonly id: string; readonly name: string }, what: typeof RotaChanged.payload.Type.what) =>
  Effect.flatMap(Actor, ({ id }) =>
    appendEvent(RotaChanged, { rotaId: rota.id, name: rota.name, what }, { actorId: id })
  )

/** Local times `HH:MM` in the tenant's time zone; `to` not after `from` is on the next day. */
export interface GivenShift {
  readonly layer: number
  readonly days: ReadonlyArray<number>
  readonly from: string
  readonly to: string
  readonly personId: string
}

export interface GivenRota {
  readonly name: string
  readonly shifts: ReadonlyArray<GivenShift>
  /** Default: none. */
  readonly rotations?: ReadonlyArray<GivenRotation>
}

export interface StoredOverride {
  readonly id: string
  readonly from: Date
  readonly until: Date
  readonly personId: string
}

export interface StoredRota extends Required<GivenRota> {
  readonly id: string
  readonly version: number
}

const insertShifts = Effect.fnUntraced(function* (rotaId: string, shifts: ReadonlyArray<GivenShift>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = []
  for (const { days, from, layer, personId, to } of shifts)
    rows.push({
      id: yield* newId,
      layer,
      days: days.toSorted((a, b) => a - b),
      from_minute: minutesOf(from),
      to_minute: minutesOf(to),
      principal_id: personId
    })
  yield* sql`
    insert into mahalla.rota_shift (tenant_id, id, rota_id, layer, days, from_minute, to_minute, principal_id)
    select ${tenantId}, id, ${rotaId}, layer, days, from_minute, to_minute, principal_id
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as given
      (id uuid, layer integer, days integer[], from_minute integer, to_minute integer, principal_id uuid)`
})

const demandFreeName = Effect.fnUntraced(function* (name: string, id: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const taken = yield* sql`
    select from mahalla.rota where tenant_id = ${tenantId} and name = ${name} and id is distinct from ${id}::uuid`
  if (taken.length > 0)
    return yield* new InvalidInput({ issues: [{ pointer: "/name", detail: "There is a rota of this name already." }] })
})

const check = Effect.fnUntraced(function* ({ name, rotations = [], shifts }: GivenRota, id: string | null) {
  yield* demandFreeName(name, id)
  const issues = rotations.flatMap(({ members }, place) =>
    members.some((member) => member !== null)
      ? []
      : [{ pointer: `/rotations/${place}/members`, detail: "A rotation has somebody whose turn it is." }]
  )
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  yield* demandPeople([
    ...shifts.map(({ personId }, place) => ({ id: personId, pointer: `/shifts/${place}/personId` })),
    ...rotations.flatMap(({ members }, place) =>
      members.flatMap((member, turn) =>
        member === null ? [] : [{ id: member, pointer: `/rotations/${place}/members/${turn}` }]
      )
    )
  ])
})

/** Makes a rota; needs `rota.manage`. */
export const createRota = Effect.fn("control-room.createRota")(function* (given: GivenRota) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("rota.manage")
  yield* check(given, null)
  const id = yield* newId
  yield* sql`insert into mahalla.rota (tenant_id, id, name) values (${tenantId}, ${id}, ${given.name})`
  yield* insertShifts(id, given.shifts)
  yield* insertRotations(id, given.rotations ?? [])
  yield* announce({ id, name: given.name }, "created")
  return { rotations: [], ...given, id, version: 1 } satisfies StoredRota
})

const shiftsOf = Effect.fnUntraced(function* (rotas: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Shift & { readonly rotaId: string }>`
    select rota_id as "rotaId", layer, days, from_minute as "from", to_minute as "to", principal_id as "principalId" from mahalla.rota_shift
    where tenant_id = ${tenantId} and rota_id = any (${rotas}::uuid[]) order by rota_id, layer, id`
  return rows.map(({ days, from, layer, principalId, rotaId, to }) => ({
    rotaId,
    shift: { layer, days, from: clockOf(from), to: clockOf(to), personId: principalId }
  }))
})

type RotaRow = Pick<StoredRota, "id" | "name" | "version">

const withPeople = Effect.fnUntraced(function* (rotas: ReadonlyArray<RotaRow>) {
  const ids = rotas.map(({ id }) => id)
  const shifts = yield* shiftsOf(ids)
  const rotations = yield* rotationsOf(ids)
  return rotas.map((rota): StoredRota => ({
    ...rota,
    shifts: shifts.filter(({ rotaId }) => rotaId === rota.id).map(({ shift }) => shift),
    rotations: rotations.filter(({ rotaId }) => rotaId === rota.id).map(({ rotation }) => rotation)
  }))
})

/** All rotas, by name; needs `rota.read`. */
export const listRotas = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("rota.read")
  const rotas = yield* sql<RotaRow>`
    select id, name, version from mahalla.rota where tenant_id = ${tenantId} order by name`
  return yield* withPeople(rotas)
}).pipe(Effect.withSpan("control-room.listRotas"))

/** One rota, or `NotFound`; needs `rota.read`. */
export const getRota = Effect.fn("control-room.getRota")(function* (id: string, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("rota.read")
  const [row] = yield* sql<RotaRow>`
    select id, name, version from mahalla.rota
    where tenant_id = ${tenantId} and id = ${id} ${sql.literal(lock ? "for update" : "")}`
  const [rota] = row === undefined ? [] : yield* withPeople([row])
  return rota ?? (yield* new NotFound({ what: "rota", id }))
})

const changeable = Effect.fnUntraced(function* (id: string, ifVersion: number | undefined) {
  yield* demandEverywhere("rota.manage")
  const rota = yield* getRota(id, true)
  if (ifVersion !== undefined && ifVersion !== rota.version)
    return yield* new VersionConflict({ what: "rota", expected: ifVersion, found: rota.version })
  return rota
})

/** Puts other hours and rotations in the place of a rota's; needs `rota.manage`. Overrides stay. */
export const replaceRota = Effect.fn("control-room.replaceRota")(function* (
  id: string,
  given: GivenRota,
  ifVersion?: number
) {
  const { sql, tenantId } = yield* TenantTx
  const { version } = yield* changeable(id, ifVersion)
  yield* check(given, id)
  yield* sql`update mahalla.rota set name = ${given.name}, version = version + 1 where tenant_id = ${tenantId} and id = ${id}`
  yield* sql`delete from mahalla.rota_shift where tenant_id = ${tenantId} and rota_id = ${id}`
  yield* sql`delete from mahalla.rota_rotation where tenant_id = ${tenantId} and rota_id = ${id}`
  yield* insertShifts(id, given.shifts)
  yield* insertRotations(id, given.rotations ?? [])
  yield* announce({ id, name: given.name }, "replaced")
  return { rotations: [], ...given, id, version: version + 1 } satisfies StoredRota
})

/** Removes a rota that no ladder names; needs `rota.manage`. */
export const removeRota = Effect.fn("control-room.removeRota")(function* (id: string, ifVersion?: number) {
  const { sql, tenantId } = yield* TenantTx
  const rota = yield* changeable(id, ifVersion)
  const used = yield* sql<{ name: string }>`
    select l.name from mahalla.ladder_step s join mahalla.ladder l on l.tenant_id = s.tenant_id and l.id = s.ladder_id
    where s.tenant_id = ${tenantId} and s.rota_id = ${id} limit 1`
  if (used.length > 0) {
    const message = `The ladder ${used[0]!.name} calls this rota. Take it out of the ladder first.`
    return yield* new Refused({ code: "rota-in-use", message })
  }
  yield* sql`delete from mahalla.rota where tenant_id = ${tenantId} and id = ${id}`
  yield* announce(rota, "removed")
})

/** Overrides that hold now or later, the first first; needs `rota.read`. */
export const listOverrides = Effect.fn("control-room.listOverrides")(function* (rotaId: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* getRota(rotaId)
  const now = new Date(yield* Clock.currentTimeMillis)
  return yield* sql<StoredOverride>`
    select id, from_at as "from", until_at as until, principal_id as "personId" from mahalla.rota_override
    where tenant_id = ${tenantId} and rota_id = ${rotaId} and until_at > ${now} order by from_at, id limit 500`
})

/** Somebody stands in for a while, in the place of everybody else; needs `rota.manage`. */
export const addOverride = Effect.fn("control-room.addOverride")(function* (
  rotaId: string,
  given: Omit<StoredOverride, "id">
) {
  const { sql, tenantId } = yield* TenantTx
  const rota = yield* changeable(rotaId, undefined)
  if (given.from >= given.until)
    return yield* new InvalidInput({ issues: [{ pointer: "/until", detail: "It must end after it begins." }] })
  yield* demandPeople([{ id: given.personId, pointer: "/personId" }])
  const id = yield* newId
  yield* sql`
    insert into mahalla.rota_override (tenant_id, id, rota_id, from_at, until_at, principal_id)
    values (${tenantId}, ${id}, ${rotaId}, ${given.from}, ${given.until}, ${given.personId})`
  yield* announce(rota, "override-added")
  return { ...given, id } satisfies StoredOverride
})

/** Takes an override away; needs `rota.manage`. */
export const removeOverride = Effect.fn("control-room.removeOverride")(function* (rotaId: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  const rota = yield* changeable(rotaId, undefined)
  const gone = yield* sql`
    delete from mahalla.rota_override where tenant_id = ${tenantId} and rota_id = ${rotaId} and id = ${id} returning id`
  if (gone.length === 0) return yield* new NotFound({ what: "override", id })
  yield* announce(rota, "override-removed")
})

/** Who is on call in a rota; people who are no longer active are not. */
export const onCallNow = Effect.fnUntraced(function* (rotaId: string, at: Date) {
  const { sql, tenantId } = yield* TenantTx
  const shifts = yield* sql<Shift>`
    select s.layer, s.days, s.from_minute as "from", s.to_minute as "to", s.principal_id as "principalId" from mahalla.rota_shift s
    join mahalla.principal p on p.tenant_id = s.tenant_id and p.id = s.principal_id and p.status = 'active'
    where s.tenant_id = ${tenantId} and s.rota_id = ${rotaId} order by s.layer, s.id`
  const overrides = yield* sql<Override>`
    select (extract(epoch from o.from_at) * 1000)::float8 as "from", (extract(epoch from o.until_at) * 1000)::float8 as until,
      o.principal_id as "principalId"
    from mahalla.rota_override o
    join mahalla.principal p on p.tenant_id = o.tenant_id and p.id = o.principal_id and p.status = 'active'
    where o.tenant_id = ${tenantId} and o.rota_id = ${rotaId} and o.from_at <= ${at} and o.until_at > ${at} order by o.id`
  const { timeZone } = yield* tenantSettings
  return onCall({ shifts, rotations: yield* turnsOf(rotaId), overrides }, at.getTime(), timeZone)
})
