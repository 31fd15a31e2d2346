/**
 * Working an authority's queue, one call after the other in the order of the decisions. Our number is committed as `submitting` before the
 * first byte leaves; what is found `submitting` later is `unknown`, and only the authority's word about that number settles it. While the
 * authority is away nothing is tried in vain and nothing is given up: the queue stands still and goes on afterwards, at a bounded rate.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import { withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { whileLeader } from "../../kernel/leases/lease.ts"
import type { Authority, FilingOutcome, FilingStatus } from "../../ports/Authority.ts"
import { abandonedAfter, resendAfter } from "./ask.ts"
import { bookDoubt, bookNothingSent, bookOutcome, bookStatus, bookUnanswered } from "./book.ts"
import { linksOf } from "./evidence.ts"
import { FilingAuthorities } from "./FilingAuthorities.ts"
import type { FilingRow } from "./model.ts"
import { bodyOf, type DueFiling, loadFiling, moveFiling, nextDue } from "./sql.ts"

type Service = Authority["Service"]

/** Milliseconds after which a call has no answer. */
const patience = 20_000

/** Milliseconds between two calls to one authority, after an outage too. */
const spacing = 200
/** Milliseconds of rest where nothing is due, or nobody answers. */
const rest = 1_000

/** Takes a filing for sending: committed before anybody hears of it. Undefined where somebody else was quicker. */
const begin = Effect.fnUntraced(function* (id: string) {
  const before = yield* loadFiling(id, true)
  if (before === undefined || (before.state !== "queued" && before.state !== "unknown")) return undefined
  const now = yield* Clock.currentTimeMillis
  yield* moveFiling(before, "submitting", { nextAt: now + abandonedAfter, tries: before.tries + 1 })
  const { evidence, ...body } = yield* bodyOf(id)
  return { before, filing: { ...body, number: id, kind: before.kind, evidence: yield* linksOf(before, evidence) } }
})

/** Sends it and books the answer; says whether the authority was heard. */
const submit = Effect.fn("filings.submit")(function* (tenantId: string, id: string, authority: Service) {
  const inside = withTenant(tenantId)
  const begun = yield* inside(begin(id))
  if (begun === undefined) return true
  const { before, filing } = begun
  return yield* authority.file(filing).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.succeed<FilingOutcome>({ state: "unknown", message: "It took too long." })
    }),
    Effect.matchEffect({
      onSuccess: (outcome) => Effect.as(inside(bookOutcome(id, outcome)), outcome.state !== "unknown"),
      onFailure: (error) =>
        error.reason === "InvalidRequest"
          ? refusedForm(tenantId, before, authority, error.message)
          : Effect.as(inside(bookNothingSent(before, error.message)), false)
    })
  )
})

/** An authority that does not take the form files nothing by this call. Of what was sent before that says nothing: only its number does. */
const refusedForm = Effect.fnUntraced(function* (
  tenantId: string,
  before: FilingRow,
  authority: Service,
  message: string
) {
  const inside = withTenant(tenantId)
  const refusal: FilingOutcome = { state: "refused", code: "invalid-request", message }
  if (before.state === "queued") return yield* Effect.as(inside(bookOutcome(before.id, refusal)), true)
  const status = yield* ask(authority, before.id)
  if (status === undefined || status.state !== "not-found") {
    yield* inside(bookOutcome(before.id, { state: "unknown", message }))
    if (status !== undefined) yield* inside(bookStatus(before.id, status))
    return status !== undefined
  }
  return yield* Effect.as(inside(bookOutcome(before.id, refusal)), true)
})

/** Undefined: no answer. */
const ask = (authority: Service, id: string): Effect.Effect<FilingStatus | undefined> =>
  authority.status(id).pipe(
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(undefined) }),
    Effect.catch(() => Effect.succeed(undefined))
  )

/** Asks what became of our number and books it; says whether the authority was heard. */
const inquire = Effect.fn("filings.inquire")(function* (tenantId: string, id: string, authority: Service) {
  const inside = withTenant(tenantId)
  const status = yield* ask(authority, id)
  if (status === undefined)
    return yield* Effect.as(inside(bookUnanswered(id, "The authority did not answer when it was asked.")), false)
  if (status.state !== "not-found") return yield* Effect.as(inside(bookStatus(id, status)), true)
  const filing = yield* inside(loadFiling(id))
  const age = (yield* Clock.currentTimeMillis) - (filing?.changedAt.getTime() ?? 0)
  if (filing?.state === "unknown" && (status.final || age >= resendAfter)) return yield* submit(tenantId, id, authority)
  yield* inside(
    filing?.state === "filed" || filing?.state === "in-review"
      ? bookDoubt(id, "The authority does not know it any more.")
      : bookUnanswered(id, "The authority does not know it.")
  )
  return true
})

const work = ({ id, state, tenantId }: DueFiling, authority: Service) =>
  state === "queued" ? submit(tenantId, id, authority) : inquire(tenantId, id, authority)

/** One call of an authority's queue: `idle` where nothing is due, `away` where the authority does not answer or is left alone. */
export const fileNext = Effect.fn("filings.fileNext")(function* (instance: string) {
  const { all, circuit, through } = yield* FilingAuthorities
  const { rest: alone, state } = yield* circuit(instance)
  if (alone > 0) return "away"
  const authority = all.get(instance)
  // Whether it is back is tried with a question, where there is one: it leaves nothing behind that nobody knows.
  const due =
    (state === "closed" ? undefined : yield* withPlatform(nextDue(instance, true))) ??
    (yield* withPlatform(nextDue(instance)))
  if (authority === undefined || due === undefined) return "idle"
  if (due.state === "submitting") {
    // Whoever began it is gone, and nobody knows how far it came.
    yield* withTenant(due.tenantId)(bookDoubt(due.id, "The process ended while it was being sent."))
    return "heard"
  }
  const heard = yield* through(instance)(work(due, authority)).pipe(
    Effect.catchTag("CircuitBreakerError", () => Effect.succeed(false))
  )
  return heard ? "heard" : "away"
})

const holder = `filings:${process.pid}:${randomUUID().slice(0, 8)}`

/** Works all queues, each in one process at a time. */
export const workQueues = Effect.gen(function* () {
  const { all } = yield* FilingAuthorities
  const turn = (instance: string) =>
    Effect.flatMap(fileNext(instance), (end) => Effect.sleep(end === "heard" ? spacing : rest))
  yield* Effect.forEach(
    all.keys(),
    // Longer than two calls that nobody answers.
    (instance) => whileLeader({ name: `filings:${instance}`, holder, seconds: 90 }, turn(instance)),
    { concurrency: "unbounded", discard: true }
  )
})
