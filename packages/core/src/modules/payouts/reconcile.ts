/**
 * Yesterday's registers of all rails against our books. A register has all cities' payments; each city hears of its own, and of a payment that is
 * nobody's every city that pays by that rail.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineJob, JobFailure } from "../../kernel/jobs/Job.ts"
import { newId } from "../../kernel/ids.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import type { Payments, RegisterLine } from "../../ports/Payments.ts"
import { settlePayout } from "./jobs.ts"
import { accountOf, post } from "./ledger.ts"
import { forgetSpent } from "./limits.ts"
import { factsOf, PayoutContradicted, PayoutReturned } from "./model.ts"
import { type Booked, compareRegister, type Difference, type Settlement } from "./register.ts"
import { loadPayout, movePayout } from "./sql.ts"

const dayMillis = 86_400_000

const dayOf = (at: number): string => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(at))

/** The money that came back: from what the rail had paid out, or, where that is settled with it already, from suspense. */
const bookReturn = Effect.fnUntraced(function* (id: string, reference: string) {
  const payout = yield* loadPayout(id, true)
  if (payout?.state !== "succeeded") return
  const { amount, currency, rail } = payout
  const transfer = { credit: yield* accountOf("budget", currency), amount, currency, payoutId: id }
  const memo = `returned: ${reference}`
  yield* post({ ...transfer, memo, debit: yield* accountOf("clearing", currency, rail) }).pipe(
    Effect.catchTag("Refused", () =>
      Effect.flatMap(accountOf("suspense", currency), (debit) => post({ ...transfer, memo, debit }))
    )
  )
  yield* movePayout(payout, "returned", { detail: "The rail's register says that it came back." })
  yield* appendEvent(PayoutReturned, { ...factsOf(payout), reference }, { caseId: payout.caseId })
})

/** Paid after all, though it counted as failed and its money was given back: a person must decide whose money it was. */
const bookContradiction = Effect.fnUntraced(function* (id: string, reference: string) {
  const payout = yield* loadPayout(id, true)
  if (payout === undefined) return
  const { sql, tenantId } = yield* TenantTx
  const memo = `paid though failed: ${reference}`
  const known = yield* sql`
    select from mahalla.ledger_transfer where tenant_id = ${tenantId} and payout_id = ${id} and memo = ${memo}`
  if (known.length > 0) return
  const { amount, currency, rail } = payout
  const [debit, credit] = [yield* accountOf("suspense", currency), yield* accountOf("clearing", currency, rail)]
  yield* post({ debit, credit, amount, currency, memo, payoutId: id })
  yield* appendEvent(PayoutContradicted, { ...factsOf(payout), reference }, { caseId: payout.caseId })
})

const settle = ({ id, reference, to }: Settlement) =>
  to === "succeeded"
    ? settlePayout(id, { state: "succeeded", reference })
    : to === "returned"
      ? bookReturn(id, reference)
      : bookContradiction(id, reference)

/** Our books: payouts of the day, and those that lines name. Indexes: payout_by_rail, the table's key. */
const bookedOf = Effect.fnUntraced(function* (rail: string, day: number, ids: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Omit<Booked, "at"> & { readonly at: Date }>`
    select id, amount, currency, state, reference, changed_at as at from mahalla.payout
    where tenant_id = ${tenantId} and rail = ${rail} and state in ('succeeded', 'returned', 'failed', 'unknown', 'manual')
      and changed_at >= ${new Date(day)} and changed_at < ${new Date(day + dayMillis)}
    union
    select id, amount, currency, state, reference, changed_at from mahalla.payout
    where tenant_id = ${tenantId} and rail = ${rail} and id = any (${ids}::uuid[])`
  return rows.map((row): Booked => ({ ...row, at: row.at.getTime() }))
})

const keep = Effect.fnUntraced(function* (rail: string, day: number, differences: ReadonlyArray<Difference>) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  for (const { kind, ours, payoutId = null, subject, theirs } of differences) {
    // What settled itself is there to be seen.
    const done = kind === "returned" || kind === "succeeded-late"
    yield* sql`
      insert into mahalla.reconciliation_difference
        (tenant_id, id, rail, day, kind, subject, payout_id, ours, theirs, created_at, resolved_at, resolution)
      values (${tenantId}, ${yield* newId}, ${rail}, ${dayOf(day)}::date, ${kind}, ${subject.slice(0, 200)}, ${payoutId}, ${ours}, ${theirs}, ${now},
        ${done ? now : null}, ${done ? "Booked by the register's word." : null})
      on conflict (tenant_id, rail, day, kind, subject) do nothing`
  }
})

const isUuid = (text: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

/** One city's part of a register. `nobodys`: lines that are no city's. */
const reconcileTenant = Effect.fn("payouts.reconcile")(function* (
  rail: string,
  day: number,
  lines: ReadonlyArray<RegisterLine>,
  neighbours: ReadonlyArray<RegisterLine>,
  nobodys: ReadonlyArray<RegisterLine>
) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const booked = yield* bookedOf(
    rail,
    day,
    lines.map(({ id }) => id)
  )
  const { amount, differences, settlements } = compareRegister(day, [...lines, ...nobodys], neighbours, booked)
  yield* keep(rail, day, differences)
  yield* Effect.forEach(settlements, settle, { discard: true })
  const ours = booked.filter(({ at, state }) => state === "succeeded" && at >= day && at < day + dayMillis)
  const sum = ours.reduce((total, one) => total + one.amount, 0n)
  yield* sql`
    insert into mahalla.reconciliation (tenant_id, rail, day, run_at, lines, amount, payouts, booked)
    values (${tenantId}, ${rail}, ${dayOf(day)}::date, ${now}, ${lines.length}, ${amount}, ${ours.length}, ${sum})
    on conflict (tenant_id, rail, day) do update set run_at = excluded.run_at, lines = excluded.lines, amount = excluded.amount,
      payouts = excluded.payouts, booked = excluded.booked, trouble = null`
  return differences.length
})

const unreadable = Effect.fnUntraced(function* (rail: string, day: number, trouble: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.reconciliation (tenant_id, rail, day, run_at, lines, amount, payouts, booked, trouble)
    values (${tenantId}, ${rail}, ${dayOf(day)}::date, ${now}, 0, 0, 0, 0, ${trouble.slice(0, 500)})
    on conflict (tenant_id, rail, day) do update set run_at = excluded.run_at, trouble = excluded.trouble`
})

/** Cities that have paid by a rail, and whose each of some ids is. Index: payout_by_rail. */
const ownersOf = (rail: string, ids: ReadonlyArray<string>) =>
  withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const tenants = yield* sql<{ tenant_id: string }>`
        select t.tenant_id from mahalla.tenant t
        where exists (select from mahalla.payout p where p.tenant_id = t.tenant_id and p.rail = ${rail} and p.state <> 'requested')`
      const owned = yield* sql<{ id: string; tenant_id: string }>`
        select id, tenant_id from mahalla.payout where rail = ${rail} and id = any (${ids}::uuid[])`
      return {
        tenants: tenants.map((row) => row.tenant_id),
        owner: new Map(owned.map((row) => [row.id, row.tenant_id]))
      }
    })
  )

/** A rail's register of a UTC day, `2026-11-20`, against the books of all cities. Done again it says the same once. */
export const reconcileDay = Effect.fn("payouts.reconcileDay")(function* (
  name: string,
  rail: Payments["Service"],
  day: string
) {
  const from = Date.parse(`${day}T00:00:00Z`)
  const read = (at: number) => Effect.result(Stream.runCollect(rail.register(dayOf(at))))
  const own = yield* read(from)
  const [before, after] = [yield* read(from - dayMillis), yield* read(from + dayMillis)]
  const trouble = [own, before, after].find(Result.isFailure)
  const lines = Result.isSuccess(own) ? own.success : []
  const neighbours = [before, after].flatMap((one) => (Result.isSuccess(one) ? one.success : []))
  const { owner, tenants } = yield* ownersOf(name, [...lines, ...neighbours].map(({ id }) => id).filter(isUuid))
  const nobodys = lines.filter(({ id }) => !owner.has(id))
  for (const tenantId of tenants) {
    const ofTenant = (all: ReadonlyArray<RegisterLine>) => all.filter(({ id }) => owner.get(id) === tenantId)
    yield* withTenant(tenantId)(
      trouble === undefined
        ? reconcileTenant(name, from, ofTenant(lines), ofTenant(neighbours), nobodys)
        : // What is incomplete would show what is not missing as missing.
          unreadable(name, from, trouble.failure.message)
    )
  }
  return trouble === undefined
})

/** The last two whole days of each rail: a rail may add lines to a day for a while. */
export const reconcileRails = Effect.gen(function* () {
  yield* forgetSpent
  const now = yield* Clock.currentTimeMillis
  for (const [name, rail] of yield* PaymentRails)
    for (const back of [2, 1])
      yield* reconcileDay(name, rail, dayOf(now - back * dayMillis)).pipe(
        Effect.catchCause((cause) => Effect.logError(`The register of ${name} could not be compared`, cause))
      )
})

/** The same for one day, asked for by somebody. */
export const reconcileJob = defineJob({
  topic: "payouts.reconcile",
  payload: Schema.Struct({ rail: Schema.String, day: Schema.String }),
  timeout: 300_000,
  run: ({ day, rail: name }) =>
    Effect.gen(function* () {
      const rail = (yield* PaymentRails).get(name)
      if (rail === undefined)
        return yield* new JobFailure({ message: `The city has no payment rail ${name} any more.`, permanent: true })
      if (!(yield* reconcileDay(name, rail, day)))
        return yield* new JobFailure({ message: `The register of ${name} of ${day} cannot be read.`, permanent: false })
    })
})
