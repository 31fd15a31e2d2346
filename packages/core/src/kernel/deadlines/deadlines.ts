/**
 * Deadlines of cases: rows that start, pause, resume and stop with the case's state, in the transaction that changes it. A due row is
 * marked and becomes a job, which deletes it in the transaction of what it does: a crash or a late leader delays what follows, and
 * loses or doubles nothing.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CaseTypeDefinition, DeadlineDefinition } from "../cases/CaseType.ts"
import type { CaseRecord } from "../cases/model.ts"
import { loadCase } from "../cases/record.ts"
import { CaseTypes } from "../cases/registry.ts"
import { PlatformTx, TenantTx } from "../db/Database.ts"
import type { LaterWrite } from "../db/later.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { insertJobs, JobSignal } from "../jobs/enqueue.ts"
import { tenantSettings } from "../tenancy/settings.ts"
import type { TenantSettings } from "../tenancy/Tenant.ts"
import { addPlainTime, addWorkingTime, type CalendarDuration, parseDuration, workingTimeBetween } from "./calendar.ts"

/** A deadline passed and these roles are to hear of it. */
export const DeadlinePassed = defineEvent({
  id: "case.deadline-passed",
  payload: Schema.Struct({
    type: Schema.String,
    reference: Schema.String,
    deadline: Schema.String,
    roles: Schema.Array(Schema.String)
  })
})

/** A deadline passed and the case is now this role's. */
export const Escalated = defineEvent({
  id: "case.escalated",
  payload: Schema.Struct({
    type: Schema.String,
    reference: Schema.String,
    deadline: Schema.String,
    role: Schema.String
  })
})

export const deadlineTopic = "kernel.deadline"
export const DeadlineBody = Schema.Struct({ caseId: Schema.String, name: Schema.String })
export type DeadlineBody = typeof DeadlineBody.Type

const clockIn = (deadline: DeadlineDefinition, state: string | null): "off" | "runs" | "waits" =>
  state === null
    ? "off"
    : deadline.pausedIn?.includes(state) === true
      ? "waits"
      : deadline.states.includes(state)
        ? "runs"
        : "off"

const dueAfter = (now: DateTime.Utc, deadline: DeadlineDefinition, span: CalendarDuration, settings: TenantSettings) =>
  deadline.working === true
    ? addWorkingTime(now, span, settings.calendar, settings.timeZone)
    : addPlainTime(now, span, settings.timeZone)

/** Seconds left until `due`; 0 when it has passed. */
const left = (now: DateTime.Utc, due: Date, deadline: DeadlineDefinition, settings: TenantSettings): number => {
  const millis =
    deadline.working === true
      ? workingTimeBetween(now, DateTime.fromDateUnsafe(due), settings.calendar, settings.timeZone)
      : due.getTime() - DateTime.toEpochMillis(now)
  return Math.max(0, Math.ceil(millis / 1000))
}

interface DeadlineRow {
  readonly name: string
  readonly due_at: Date
  readonly remaining: number | null
}

const deadlineWrite: LaterWrite<Record<string, unknown>> = {
  insert: (sql, json) => sql`
    insert into mahalla.case_deadline (tenant_id, case_id, name, due_at, remaining, paused_at)
    select tenant_id, case_id, name, due_at, remaining, paused_at
    from jsonb_to_recordset(${json}::text::jsonb) as given
      (tenant_id uuid, case_id uuid, name text, due_at timestamptz, remaining integer, paused_at timestamptz)`
}

/** Called with every change of state, in its transaction; `from` is null for a new case. No statement where no deadline is touched. */
export const enterState = Effect.fnUntraced(function* (
  record: CaseRecord,
  definition: CaseTypeDefinition,
  from: string | null,
  to: string
) {
  const changes = Object.entries(definition.deadlines ?? {})
    .map(([name, deadline]) => ({ name, deadline, was: clockIn(deadline, from), is: clockIn(deadline, to) }))
    .filter(({ is, was }) => is !== was)
  if (changes.length === 0) return
  const { later, sql, tenantId } = yield* TenantTx
  const now = yield* DateTime.now
  const at = DateTime.toDateUtc(now)
  const settings = changes.every(({ is }) => is === "off") ? undefined : yield* tenantSettings
  const moved = changes.filter(({ is, was }) => is !== "off" && was !== "off").map(({ name }) => name)
  // Locked, so that a deadline is either fired or paused, not both.
  const rows =
    moved.length === 0
      ? []
      : yield* sql<DeadlineRow>`
          select name, due_at, remaining from mahalla.case_deadline
          where tenant_id = ${tenantId} and case_id = ${record.id} and name = any (${moved}) for update`

  const kept: Array<{ name: string; due_at: Date; remaining: number | null; paused_at: Date | null }> = []
  for (const { deadline, is, name, was } of changes) {
    if (is === "off") continue
    const row = rows.find((entry) => entry.name === name)
    // It has passed and was acted upon: once is enough.
    if (was !== "off" && row === undefined) continue
    if (is === "waits") {
      const remaining = row === undefined ? null : left(now, row.due_at, deadline, settings!)
      kept.push({ name, due_at: row?.due_at ?? at, remaining, paused_at: at })
    } else {
      const remaining = row?.remaining ?? null
      const span = remaining === null ? parseDuration(deadline.within) : { days: 0, seconds: remaining }
      const due = DateTime.toDateUtc(dueAfter(now, deadline, span, settings!))
      kept.push({ name, due_at: due, remaining: null, paused_at: null })
    }
  }
  // A new case has none that could be stopped.
  if (from === null) {
    for (const row of kept) yield* later.soon(deadlineWrite, { tenant_id: tenantId, case_id: record.id, ...row })
    return
  }
  const stopped = changes.filter(({ is }) => is === "off").map(({ name }) => name)
  yield* sql`
    with stopped as (
      delete from mahalla.case_deadline where tenant_id = ${tenantId} and case_id = ${record.id} and name = any (${stopped}::text[])
    )
    insert into mahalla.case_deadline (tenant_id, case_id, name, due_at, remaining, paused_at)
    select ${tenantId}, ${record.id}, name, due_at, remaining, paused_at
    from jsonb_to_recordset(${JSON.stringify(kept)}::text::jsonb) as given
      (name text, due_at timestamptz, remaining integer, paused_at timestamptz)
    on conflict (tenant_id, case_id, name) do update
      set due_at = excluded.due_at, remaining = excluded.remaining, paused_at = excluded.paused_at, fired_at = null`
})

/**
 * Turns up to `limit` due deadlines into jobs and returns how many; call again while it returns `limit`. Index `case_deadline_due`.
 *
 * @example whileLeader({ name: "deadlines", holder }, Effect.andThen(withPlatform(fireDue()), Effect.sleep("1 second")))
 */
export const fireDue = Effect.fn("fireDue")(function* (limit: number = 500) {
  const { sql } = yield* PlatformTx
  const now = yield* DateTime.nowAsDate
  const due = yield* sql<{ tenant_id: string; case_id: string; name: string }>`
    update mahalla.case_deadline d set fired_at = ${now} from (
      select tenant_id, case_id, name from mahalla.case_deadline
      where paused_at is null and fired_at is null and due_at <= ${now}
      order by due_at limit ${limit} for update skip locked
    ) passed
    where d.tenant_id = passed.tenant_id and d.case_id = passed.case_id and d.name = passed.name
    returning d.tenant_id, d.case_id, d.name`
  yield* insertJobs(
    sql,
    due.map((row) => ({
      tenantId: row.tenant_id,
      topic: deadlineTopic,
      body: { caseId: row.case_id, name: row.name } satisfies DeadlineBody,
      uniqueKey: `${row.case_id}/${row.name}`
    }))
  )
  const { wake } = yield* JobSignal
  if (due.length > 0) yield* sql.afterCommit(wake)
  return due.length
})

/**
 * What the job does, inside the tenant's transaction: takes the transition through `take`, or tells roles by an event. `"stale"` when
 * the case has moved on, or when another try was faster.
 */
export const runDeadline = Effect.fn("runDeadline")(function* <E, R>(
  { caseId, name }: DeadlineBody,
  take: (
    record: CaseRecord,
    transition: string,
    input: Readonly<Record<string, unknown>>
  ) => Effect.Effect<unknown, E, R>
) {
  const { sql, tenantId } = yield* TenantTx
  const record = yield* loadCase(caseId, { lock: true })
  const fired = yield* sql`
    delete from mahalla.case_deadline
    where tenant_id = ${tenantId} and case_id = ${caseId} and name = ${name} and fired_at is not null
    returning name`
  const { definition } = yield* (yield* CaseTypes).get(record.type)
  const deadline = definition.deadlines?.[name]
  if (fired.length === 0 || deadline === undefined || clockIn(deadline, record.state) !== "runs") return "stale"
  const { then } = deadline
  if ("transition" in then) {
    yield* take(record, then.transition, then.input ?? {})
    return "transition"
  }
  const about = { type: record.type, reference: record.reference, deadline: name }
  if ("notify" in then) {
    yield* appendEvent(DeadlinePassed, { ...about, roles: then.notify }, { caseId })
    return "notify"
  }
  yield* appendEvent(Escalated, { ...about, role: then.escalate }, { caseId })
  return "escalate"
})
