/**
 * Escalation: an alert that nobody acknowledges calls one step of its ladder after the other. Rows say when; whoever keeps the city's schedules
 * looks at them, and an acknowledgement deletes the row in its own transaction.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CaseRecord } from "../../kernel/cases/model.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { dueOf, type LadderPlan, type LadderStep, nextRung, type Rung, rungOf } from "./ladder.ts"
import { onCallNow } from "./rotas.ts"
import { subscribeAll } from "./sql.ts"

/** A step was taken: these people are told, and hear of the alert from now on. */
export const AlertEscalated = defineEvent({
  id: "alert.escalated",
  payload: Schema.Struct({
    ladderId: Schema.String,
    ladder: Schema.String,
    /** From 1, as people count. */
    round: Schema.Int,
    step: Schema.Int,
    /** Whom the step names. */
    rotaId: Schema.NullOr(Schema.String),
    role: Schema.NullOr(Schema.String),
    personId: Schema.NullOr(Schema.String),
    /** Who that is now; empty where nobody is. */
    hearers: Schema.Array(Schema.String),
    /** Whether the alert's own creation or opening, of the same moment, tells them already. */
    announced: Schema.Boolean
  })
})

interface Ladder extends LadderPlan {
  readonly id: string
  readonly name: string
}

const stepsOf = Effect.fnUntraced(function* (ladderId: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<LadderStep>`
    select place, after, rota_id as "rotaId", role, principal_id as "principalId" from mahalla.ladder_step
    where tenant_id = ${tenantId} and ladder_id = ${ladderId} order by place`
})

/** The ladder for an alert: of those for its severity the one of the nearest territory; undefined where the city has none for it. */
export const ladderFor = Effect.fnUntraced(function* (alert: CaseRecord) {
  const { sql, tenantId } = yield* TenantTx
  const path = alert.territoryPath
  const [row] = yield* sql<Omit<Ladder, "steps">>`
    select id, name, repeat_every as "repeatEvery", repeat_times as "repeatTimes" from mahalla.ladder
    where tenant_id = ${tenantId} and ${String(alert.data["severity"])} = any (severities)
      and (territory_id is null or territory_id = any (${path}::uuid[]))
    order by array_position(${path}::uuid[], territory_id), id limit 1`
  if (row === undefined) return undefined
  const steps = yield* stepsOf(row.id)
  return steps.length === 0 ? undefined : ({ ...row, steps } satisfies Ladder)
})

const holdersOfRole = Effect.fnUntraced(function* (role: string, alert: CaseRecord, at: Date) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select distinct g.principal_id as id from mahalla.role_grant g
    join mahalla.principal p on p.tenant_id = g.tenant_id and p.id = g.principal_id and p.status = 'active'
    where g.tenant_id = ${tenantId} and g.role = ${role} and (g.until is null or g.until > ${at})
      and (g.territory_id is null or g.territory_id = any (${alert.territoryPath}::uuid[]))
    order by id`
  return rows.map(({ id }) => id)
})

/** Somebody who is blocked or gone reads nothing. */
const activeOne = Effect.fnUntraced(function* (id: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select id from mahalla.principal where tenant_id = ${tenantId} and id = ${id} and status = 'active'`
  return rows.map((row) => row.id)
})

const whoIs = (step: LadderStep, alert: CaseRecord, at: Date) =>
  step.rotaId !== null
    ? onCallNow(step.rotaId, at)
    : step.role !== null
      ? holdersOfRole(step.role, alert, at)
      : activeOne(step.principalId)

/**
 * Takes every step that is due of alerts that stand on one rung and are of one territory: the same people are called for all of them. A step
 * that reaches nobody does not wait for an answer.
 */
const climbFrom = Effect.fnUntraced(function* (
  ladder: Ladder,
  alerts: ReadonlyArray<CaseRecord>,
  from: Rung | undefined,
  began: number,
  announced: boolean
) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const at = new Date(now)
  const ids = alerts.map(({ id }) => id)
  let next = from
  let due = from === undefined ? now : dueOf(ladder, began, from)
  while (next !== undefined && due <= now) {
    const rung: Rung = next
    const step = ladder.steps[rung.step]
    const hearers = step === undefined ? [] : yield* whoIs(step, alerts[0]!, at)
    yield* subscribeAll(ids, hearers, at)
    for (const { id } of step === undefined ? [] : alerts)
      yield* appendEvent(
        AlertEscalated,
        {
          ...{ ladderId: ladder.id, ladder: ladder.name, round: rung.round + 1, step: rung.step + 1 },
          ...{ rotaId: step!.rotaId, role: step!.role, personId: step!.principalId, hearers, announced }
        },
        { caseId: id }
      )
    next = nextRung(ladder, rung)
    if (next !== undefined) due = hearers.length === 0 && next.round === rung.round ? now : dueOf(ladder, began, next)
  }
  if (next === undefined)
    return yield* sql`delete from mahalla.alert_ladder where tenant_id = ${tenantId} and case_id = any (${ids}::uuid[])`
  return yield* sql`
    update mahalla.alert_ladder set round = ${next.round}, step = ${ladder.steps[next.step]?.place ?? 0}, due_at = ${new Date(due)}
    where tenant_id = ${tenantId} and case_id = any (${ids}::uuid[])`
})

/**
 * Puts alerts of one territory on a ladder, those that are on another too, and takes the steps that are due at once. `announced`: those whom
 * these name hear of the alerts in another way.
 */
export const climbOn = Effect.fn("control-room.climbOn")(function* (
  ladder: Ladder,
  alerts: ReadonlyArray<CaseRecord>,
  announced: boolean
) {
  const { sql, tenantId } = yield* TenantTx
  const began = yield* Clock.currentTimeMillis
  const first: Rung = { round: 0, step: 0 }
  const begun = yield* sql<{ id: string }>`
    insert into mahalla.alert_ladder as held (tenant_id, case_id, ladder_id, began_at, due_at)
    select ${tenantId}, id, ${ladder.id}, ${new Date(began)}, ${new Date(dueOf(ladder, began, first))}
    from unnest(${alerts.map(({ id }) => id)}::uuid[]) as given (id)
    on conflict (tenant_id, case_id) do update
      set ladder_id = excluded.ladder_id, began_at = excluded.began_at, round = 0, step = 0, due_at = excluded.due_at
      where held.ladder_id <> excluded.ladder_id
    returning case_id as id`
  const ids = new Set(begun.map(({ id }) => id))
  const climbing = alerts.filter(({ id }) => ids.has(id))
  if (climbing.length > 0) yield* climbFrom(ladder, climbing, first, began, announced)
})

/** Minutes after which a step is looked at again that was due while the alert was quiet. */
const quietFor = 1

/**
 * What is due of one alert. The case is locked: an acknowledgement at the same moment comes before or after. One that comes and goes and is not
 * there just now calls nobody until it comes again, or is cleared.
 */
const climb = Effect.fn("control-room.climb")(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const alert = yield* loadCase(caseId, { lock: true })
  const [row] = yield* sql<Omit<Ladder, "steps"> & Rung & { readonly beganAt: Date; readonly isQuiet: boolean }>`
    select l.id, l.name, l.repeat_every as "repeatEvery", l.repeat_times as "repeatTimes", a.round, a.step, a.began_at as "beganAt",
      held.calm_at is not null as "isQuiet"
    from mahalla.alert_ladder a join mahalla.ladder l on l.tenant_id = a.tenant_id and l.id = a.ladder_id
    join mahalla.alert held on held.tenant_id = a.tenant_id and held.case_id = a.case_id
    where a.tenant_id = ${tenantId} and a.case_id = ${caseId}`
  if (row === undefined) return
  if (row.isQuiet) {
    const again = new Date((yield* Clock.currentTimeMillis) + quietFor * 60_000)
    return yield* sql`
      update mahalla.alert_ladder set due_at = ${again} where tenant_id = ${tenantId} and case_id = ${caseId}`
  }
  const ladder = { ...row, steps: yield* stepsOf(row.id) }
  yield* climbFrom(ladder, [alert], rungOf(ladder, row.round, row.step), row.beganAt.getTime(), false)
})

/** One turn over all tenants: the 500 alerts that have waited longest. Index `alert_ladder_due`. */
export const climbLadders = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  const due = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenantId: string; caseId: string }>`
        select tenant_id as "tenantId", case_id as "caseId" from mahalla.alert_ladder
        where due_at <= ${now} order by due_at limit 500`
    )
  )
  for (const { caseId, tenantId } of due) {
    yield* withTenant(tenantId)(climb(caseId)).pipe(
      Effect.catchCause((cause) => Effect.logError(`The ladder of alert ${caseId} failed and is tried again`, cause))
    )
  }
})
