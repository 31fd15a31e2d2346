/** Writing down what an authority has said about a filing, or a person of the city. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { mask } from "../../kernel/mask.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { Decision, FilingOutcome, FilingStatus } from "../../ports/Authority.ts"
import type { Money } from "../../ports/Payments.ts"
import { abandonedAfter, interval } from "./ask.ts"
import { FilingDecided, FilingFiled, FilingRefused, type FilingRow, FilingUnknown, type Verdict } from "./model.ts"
import { loadFiling, moveFiling } from "./sql.ts"

export const factsOf = ({ attempt, authority, id, kind }: FilingRow) => ({ filingId: id, kind, authority, attempt })

const refuse = Effect.fnUntraced(function* (filing: FilingRow, code: string, message: string) {
  yield* moveFiling(filing, "refused", { detail: `${code}: ${message}`, nextAt: null, tries: 0 })
  yield* appendEvent(FilingRefused, { ...factsOf(filing), code: mask(code).slice(0, 100) }, { caseId: filing.caseId })
})

/** Nobody knows whether it arrived; asked again soon, and again after longer. */
const doubt = Effect.fnUntraced(function* (filing: FilingRow, message: string) {
  const now = yield* Clock.currentTimeMillis
  const tries = filing.state === "filed" || filing.state === "in-review" ? 0 : filing.tries + 1
  yield* moveFiling(filing, "unknown", { detail: message, nextAt: now + interval("unknown", tries), tries })
  // Told once, not each time that it was sent again in vain.
  if (tries <= 2 && filing.state !== "unknown")
    yield* appendEvent(
      FilingUnknown,
      { ...factsOf(filing), detail: mask(message).slice(0, 500) },
      { caseId: filing.caseId }
    )
})

/** It stands there, and is not decided yet. */
const standing = Effect.fnUntraced(function* (
  filing: FilingRow,
  to: "filed" | "in-review",
  reference: string | undefined
) {
  const now = yield* Clock.currentTimeMillis
  const tries = filing.state === to ? filing.tries + 1 : 0
  yield* moveFiling(filing, to, { reference: reference ?? null, nextAt: now + interval(to, tries), tries })
  if (filing.state === "submitting" || filing.state === "unknown")
    yield* appendEvent(FilingFiled, { ...factsOf(filing), reference: reference ?? null }, { caseId: filing.caseId })
})

const decide = Effect.fnUntraced(function* (filing: FilingRow, { at, fine, reference, verdict }: Decision) {
  const before = filing.state === "decided" ? filing.verdict : null
  const imposed = verdict === "fined" ? (fine ?? null) : null
  const same = before === verdict && (imposed === null || imposed.amount === filing.fine)
  const decision = { verdict, fine: imposed, at: new Date(at), byHand: false }
  yield* moveFiling(filing, "decided", { reference, ...(same ? {} : { decision }), nextAt: null, tries: 0 })
  if (same) return
  yield* appendEvent(
    FilingDecided,
    {
      ...factsOf(filing),
      verdict,
      fine: imposed === null ? null : String(imposed.amount),
      currency: imposed?.currency ?? null,
      reference,
      reversed: before !== null,
      byHand: false
    },
    { caseId: filing.caseId }
  )
})

/** Books what came of sending it. What was settled meanwhile stays as it is. */
export const bookOutcome = Effect.fn("filings.bookOutcome")(function* (id: string, outcome: FilingOutcome) {
  const filing = yield* loadFiling(id, true)
  if (filing === undefined || filing.state !== "submitting") return
  switch (outcome.state) {
    case "accepted":
      return yield* standing(filing, "filed", outcome.reference)
    case "refused":
      return yield* refuse(filing, outcome.code, outcome.message)
    case "unknown":
      return yield* doubt(filing, outcome.message)
  }
})

/** The call has surely filed nothing: it stands where it stood before, and what it waited for comes in its turn. */
export const bookNothingSent = Effect.fn("filings.bookNothingSent")(function* (before: FilingRow, message: string) {
  const filing = yield* loadFiling(before.id, true)
  if (filing?.state !== "submitting") return
  if (before.state !== "queued") return yield* doubt(filing, message)
  yield* moveFiling(filing, "queued", { detail: message, nextAt: before.nextAt!.getTime(), tries: filing.tries })
})

/** Books what the authority says of our number. `not-found` is for whoever asked. */
export const bookStatus = Effect.fn("filings.bookStatus")(function* (
  id: string,
  status: Exclude<FilingStatus, { readonly state: "not-found" }>
) {
  const filing = yield* loadFiling(id, true)
  // What a person has decided by a letter is not undone by a line of the authority's.
  if (filing === undefined || filing.byHand) return
  if (filing.state === "queued" || filing.state === "submitting" || filing.state === "refused") return
  if (filing.state === "decided" && status.state !== "decided")
    // Taken up again: it stays decided until it is decided otherwise, and is asked about again.
    return yield* moveFiling(filing, "decided", {
      detail: `The authority says ${status.state} again.`,
      nextAt: (yield* Clock.currentTimeMillis) + interval("in-review", filing.tries + 1),
      tries: filing.tries + 1
    })
  switch (status.state) {
    case "received":
      return yield* standing(filing, "filed", status.reference)
    case "in-review":
      return yield* standing(filing, "in-review", status.reference)
    case "refused":
      return yield* refuse(filing, status.code, status.message)
    case "decided":
      return yield* decide(filing, status)
  }
})

/** The authority gave no answer about it: it stands as it did, and is asked about again after longer. */
export const bookUnanswered = Effect.fn("filings.bookUnanswered")(function* (id: string, message: string) {
  const filing = yield* loadFiling(id, true)
  if (filing === undefined || filing.nextAt === null || filing.state === "queued" || filing.state === "submitting")
    return
  const tries = filing.tries + 1
  const nextAt = (yield* Clock.currentTimeMillis) + interval(filing.state, tries)
  yield* moveFiling(filing, filing.state, { detail: message, nextAt, tries })
})

/** What stood there is not known there any more, or whoever was sending it is gone: nobody knows. */
export const bookDoubt = Effect.fn("filings.bookDoubt")(function* (id: string, message: string) {
  const filing = yield* loadFiling(id, true)
  const now = yield* Clock.currentTimeMillis
  if (filing === undefined) return
  // Whoever sends it right now books what comes of it.
  const abandoned = filing.state === "submitting" && now - filing.changedAt.getTime() >= abandonedAfter
  if (abandoned || filing.state === "filed" || filing.state === "in-review") yield* doubt(filing, message)
})

/** What a person of the city decides from the authority's letter, or without the authority. */
export const settleByHand = Effect.fn("filings.settleByHand")(function* (
  filing: FilingRow,
  given: {
    readonly verdict: Verdict
    readonly fine?: Money | undefined
    readonly reference?: string | undefined
    readonly reason: string
  }
) {
  const actor = yield* Actor
  if (filing.state === "submitting" || filing.state === "decided")
    return yield* new Refused({
      code: "not-open",
      message: `The filing is ${filing.state}; by hand those are settled that wait, are with the authority, or were refused.`
    })
  if (filing.state === "refused") {
    const { sql, tenantId } = yield* TenantTx
    const newer = yield* sql`
      select from mahalla.filing where tenant_id = ${tenantId} and case_id = ${filing.caseId} and kind = ${filing.kind} and attempt > ${filing.attempt}`
    if (newer.length > 0)
      return yield* new Refused({ code: "tried-again", message: "It was filed again; settle the newer filing." })
  }
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* moveFiling(filing, "decided", {
    detail: `by-hand: ${given.reason}`,
    reference: given.reference ?? null,
    decision: { verdict: given.verdict, fine: given.fine ?? null, at, byHand: true },
    nextAt: null,
    tries: 0
  })
  yield* appendEvent(
    FilingDecided,
    {
      ...factsOf(filing),
      verdict: given.verdict,
      fine: given.fine === undefined ? null : String(given.fine.amount),
      currency: given.fine?.currency ?? null,
      reference: given.reference ?? null,
      reversed: false,
      byHand: true,
      reason: mask(given.reason)
    },
    { caseId: filing.caseId, actorId: actor.id }
  )
})
