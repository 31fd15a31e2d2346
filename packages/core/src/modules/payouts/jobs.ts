/**
 * Paying. Our id is committed as `submitting` before the first byte leaves; what is found `submitting` later is `unknown`, and only the rail's word
 * on our id settles that. A rail pays one id once, so a payment it has never heard of may be sent again under the same id, never under a new one.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PlatformTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { insertJobs } from "../../kernel/jobs/enqueue.ts"
import { defineJob, JobFailure } from "../../kernel/jobs/Job.ts"
import { mask } from "../../kernel/mask.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import { type PaymentOutcome, PaymentsError } from "../../ports/Payments.ts"
import { heldBecause } from "./hold.ts"
import { postPending } from "./ledger.ts"
import { uncountPayout } from "./limits.ts"
import { factsOf, type Payout, PayoutFailed, PayoutSucceeded, PayoutUnknown } from "./model.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { bookByHand, releasePayout, reserveWaiting } from "./rewards.ts"
import { loadPayout, movePayout } from "./sql.ts"

/** Milliseconds after which a payment that the rail has never heard of is sent again under its id. */
const resendAfter = 5_000

/** Books what the rail said, once. */
export const settlePayout = Effect.fn("payouts.settle")(function* (id: string, outcome: PaymentOutcome) {
  const payout = yield* loadPayout(id, true)
  if (
    payout === undefined ||
    (payout.state !== "submitting" && payout.state !== "unknown" && payout.state !== "manual")
  )
    return
  const context = { caseId: payout.caseId }
  switch (outcome.state) {
    case "succeeded":
      // What was paid by hand without money set aside is booked now.
      if (payout.pendingId === null) yield* bookByHand(payout)
      else yield* postPending(payout.pendingId)
      yield* movePayout(payout, "succeeded", { reference: outcome.reference })
      return yield* Effect.asVoid(
        appendEvent(PayoutSucceeded, { ...factsOf(payout), reference: outcome.reference }, context)
      )
    case "failed":
      yield* releasePayout(payout)
      yield* uncountPayout(payout)
      yield* movePayout(payout, "failed", { detail: `${outcome.code}: ${outcome.message}` })
      return yield* Effect.asVoid(appendEvent(PayoutFailed, { ...factsOf(payout), detail: outcome.code }, context))
    case "pending":
    case "unknown": {
      if (payout.state !== "submitting") return
      // The event stays for ever; a rail's words may repeat the payee.
      const detail = outcome.state === "pending" ? "The rail has not settled it yet." : mask(outcome.message)
      yield* movePayout(payout, "unknown", { detail })
      yield* appendEvent(PayoutUnknown, { ...factsOf(payout), detail }, context)
    }
  }
})

/** Nothing of it was sent, and nothing will be: the money goes back to the budget. For a locked payout that is `requested`, `approved` or `reserved`. */
export const refusePayout = Effect.fn("payouts.refuse")(function* (payout: Payout, reason: string) {
  yield* releasePayout(payout)
  yield* movePayout(payout, "failed", { detail: `by-hand: ${reason}` })
  yield* appendEvent(PayoutFailed, { ...factsOf(payout), detail: "by-hand" }, { caseId: payout.caseId })
})

/** To a person: nothing more can be asked of the rail. */
const handOver = Effect.fnUntraced(function* (id: string, why: string) {
  const payout = yield* loadPayout(id, true)
  if (payout?.state === "submitting")
    yield* settlePayout(id, { state: "unknown", message: "The process ended while it was being sent." })
  const now = yield* loadPayout(id, true)
  if (now?.state === "unknown")
    yield* movePayout(now, "manual", {
      detail: `The rail refuses it now and does not know it; look into its register. ${why}`
    })
})

const railOf = Effect.fnUntraced(function* (payout: Payout) {
  const rail = (yield* PaymentRails).get(payout.rail)
  return (
    rail ??
    (yield* new JobFailure({
      message: `The city has no payment rail ${payout.rail} any more. Add the plugin again.`,
      permanent: false
    }))
  )
})

const requestOf = (payout: Payout) => ({
  id: payout.id,
  payee: { kind: payout.payeeKind, value: payout.payee },
  money: { amount: payout.amount, currency: payout.currency },
  memo: `Reward ${payout.id.slice(-8)}`
})

/** Sends the payment and books the answer. */
const submit = Effect.fn("payouts.submit")(function* (tenantId: string, payout: Payout) {
  const rail = yield* railOf(payout)
  const outcome = yield* rail.pay(requestOf(payout)).pipe(
    Effect.catch((error) =>
      // Of what was sent before, a refusal of the form says nothing about that first time.
      error.reason === "InvalidRequest" && payout.state === "reserved"
        ? Effect.succeed<PaymentOutcome>({ state: "failed", code: "invalid-request", message: error.message })
        : // Surely nothing was paid by this call: the next try begins where this one did.
          withTenant(tenantId)(
            Effect.gen(function* () {
              const now = yield* loadPayout(payout.id, true)
              if (now?.state !== "submitting" || payout.state !== "reserved") return
              yield* uncountPayout(now)
              yield* movePayout(now, "reserved", { detail: error.message })
            })
          ).pipe(Effect.andThen(Effect.fail(error)))
    )
  )
  yield* withTenant(tenantId)(settlePayout(payout.id, outcome))
  return outcome.state
})

/**
 * Sends it again under its id. Where the rail refuses the form now and does not know the id, what was sent first may still be on its way: unless the
 * rail's contract says that it is not, a person must look.
 */
const submitAgain = Effect.fn("payouts.submitAgain")(function* (tenantId: string, payout: Payout) {
  return yield* submit(tenantId, payout).pipe(
    Effect.catchIf(
      (error) => error instanceof PaymentsError && error.reason === "InvalidRequest",
      (refusal) =>
        Effect.gen(function* () {
          const status = yield* (yield* railOf(payout)).status(payout.id)
          if (status.state === "not-found" && !status.final) {
            yield* withTenant(tenantId)(handOver(payout.id, refusal.message))
            return "manual"
          }
          const outcome: PaymentOutcome =
            status.state === "not-found"
              ? { state: "failed", code: "invalid-request", message: refusal.message }
              : status
          yield* withTenant(tenantId)(settlePayout(payout.id, outcome))
          return outcome.state
        })
    )
  )
})

/** Asks the rail what became of our id, and acts on its word only. */
const inquire = Effect.fn("payouts.inquire")(function* (tenantId: string, payout: Payout) {
  const rail = yield* railOf(payout)
  const status = yield* rail.status(payout.id)
  if (status.state === "not-found") {
    if (status.final) {
      yield* withTenant(tenantId)(
        settlePayout(payout.id, { state: "failed", code: "not-found", message: "The rail never got it." })
      )
      return "failed"
    }
    const age = (yield* Clock.currentTimeMillis) - payout.changedAt.getTime()
    return age < resendAfter ? "unknown" : yield* submitAgain(tenantId, payout)
  }
  yield* withTenant(tenantId)(settlePayout(payout.id, status))
  return status.state
})

export const payJob = defineJob({
  topic: "payouts.pay",
  payload: Schema.Struct({ payoutId: Schema.String }),
  timeout: 60_000,
  run: ({ payoutId }, job) =>
    Effect.gen(function* () {
      const inside = withTenant(job.tenantId)
      const begun = yield* inside(
        Effect.gen(function* () {
          const payout = yield* loadPayout(payoutId, true)
          const held = payout?.state === "reserved" ? yield* heldBecause(payout) : undefined
          if (held !== undefined) return held
          if (payout?.state === "reserved") yield* movePayout(payout, "submitting")
          else if (payout?.state === "submitting") {
            // Whoever began it is gone, and nobody knows how far it came.
            yield* settlePayout(payoutId, { state: "unknown", message: "The process ended while it was being sent." })
          }
          return payout
        })
      )
      if (begun === undefined) return
      if (typeof begun === "string")
        return yield* new JobFailure({ message: `Payout ${payoutId}: ${begun} Look at the alert.`, permanent: false })
      const state =
        begun.state === "reserved"
          ? yield* submit(job.tenantId, begun)
          : begun.state === "submitting" || begun.state === "unknown"
            ? yield* inquire(job.tenantId, begun)
            : "settled"
      if (state === "unknown" || state === "pending") {
        return yield* new JobFailure({
          message: `Payout ${payoutId} is ${state}; its status is asked again.`,
          permanent: false
        })
      }
    })
})

/** Payouts that nobody works on any more get a job again: a safety net under the queue. */
const recoverJobs = withPlatform(
  Effect.gen(function* () {
    const { sql } = yield* PlatformTx
    const rows = yield* sql<{ tenant_id: string; id: string }>`
      select p.tenant_id, p.id from mahalla.payout p
      where p.state in ('reserved', 'submitting', 'unknown') and p.changed_at < now() - interval '10 minutes'
        and not exists (select from mahalla.job j where j.tenant_id = p.tenant_id and j.topic = 'payouts.pay' and j.body ->> 'payoutId' = p.id::text)
      order by p.changed_at limit 500`
    yield* insertJobs(
      sql,
      rows.map((row) => ({
        tenantId: row.tenant_id,
        topic: "payouts.pay",
        body: { payoutId: row.id },
        uniqueKey: row.id,
        maxAttempts: 100
      }))
    )
  })
)

/** Payouts that waited for money go on when a failed one has given its money back, or when one funding was for too many of them at once. */
const recoverRequested = Effect.gen(function* () {
  const tenants = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) =>
        sql<{
          tenant_id: string
        }>`select distinct tenant_id from mahalla.payout where state in ('requested', 'approved')`
    )
  )
  for (const { tenant_id } of tenants) {
    const { currency } = yield* withTenant(tenant_id)(tenantSettings)
    yield* withTenant(tenant_id)(reserveWaiting(currency))
  }
})

/** The repeated work of the module. */
export const recoverPayouts = Effect.andThen(recoverJobs, recoverRequested)
