/**
 * What every payment rail must keep. Rules about lost, late and unreadable answers need a rail that can be told to misbehave: a layer
 * that also provides `PaymentsControl`. Without it they are left out, with that reason.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Payments, type Payee } from "../ports/Payments.ts"
import { makeSuite } from "./conformance.ts"
import { cardRules, noticeRules, reverseRules } from "./Payments.optional.ts"
import {
  booked,
  controlled,
  type PaymentsFault,
  refused,
  request,
  rule,
  type Service,
  today
} from "./Payments.probes.ts"

export { PaymentsControl, type PaymentsFault } from "./Payments.probes.ts"

/** Unsure at first; `status` then knows that it was paid, and paying again under the same id does not pay again. */
const unsureThenPaid = (name: string, fault: PaymentsFault) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next(fault)
      assert.equal((yield* service.pay(asked)).state, "unknown")
      const status = yield* service.status(asked.id)
      assert.equal(status.state, "succeeded")
      assert.deepEqual(yield* service.pay(asked), status)
      assert.equal(yield* control.effects(asked.id), 1)
    })
  )

/** Refused before anything happened, and worth another try, which then pays. */
const refusedForNow = (name: string, fault: PaymentsFault, reason: string) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next(fault)
      const error = yield* Effect.flip(service.pay(asked))
      assert.equal(error.reason, reason)
      assert.equal(error.retryable, true)
      assert.equal(yield* control.effects(asked.id), 0)
      assert.equal((yield* service.pay(asked)).state, "succeeded")
    })
  )

export const paymentsSuite = makeSuite<Payments, Service>("Payments", Payments, [
  rule(
    "pays once for one id under twenty parallel calls",
    Effect.fnUntraced(function* (service) {
      const asked = request(service)
      const outcomes = yield* Effect.all(
        Array.from({ length: 20 }, () => service.pay(asked)),
        { concurrency: "unbounded" }
      )
      const references = outcomes.flatMap((outcome) => (outcome.state === "succeeded" ? [outcome.reference] : []))
      assert.ok(references.length > 0, "no call succeeded")
      assert.equal(new Set(references).size, 1, "two references for one id")
      assert.equal((yield* booked(service, asked.id)).length, 1)
    })
  ),
  rule(
    "gives a repeat the answer of the first call",
    Effect.fnUntraced(function* (service) {
      const asked = request(service)
      const first = yield* service.pay(asked)
      assert.equal(first.state, "succeeded")
      assert.deepEqual(yield* service.pay(asked), first)
      assert.deepEqual(yield* service.status(asked.id), first)
    })
  ),
  rule(
    "refuses an id that was used for another payment",
    Effect.fnUntraced(function* (service) {
      const asked = request(service)
      yield* service.pay(asked)
      yield* refused(service, { ...asked, money: { ...asked.money, amount: asked.money.amount + 1n } }, true)
      const lines = yield* booked(service, asked.id)
      assert.deepEqual(
        lines.map((line) => line.money),
        [asked.money]
      )
    })
  ),
  rule(
    "pays once when a call was interrupted and is made again",
    Effect.fnUntraced(function* (service) {
      const asked = request(service)
      const fiber = yield* Effect.forkChild(service.pay(asked), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.equal((yield* service.pay(asked)).state, "succeeded")
      assert.equal((yield* booked(service, asked.id)).length, 1)
    })
  ),
  rule(
    "does not know an id that it never saw",
    Effect.fnUntraced(function* (service) {
      assert.equal((yield* service.status(randomUUID())).state, "not-found")
    })
  ),
  rule(
    "quotes without paying",
    Effect.fnUntraced(function* (service) {
      const { id: _, ...asked } = request(service)
      const day = yield* today
      const before = yield* Stream.runCollect(service.register(day))
      const quote = yield* service.quote(asked)
      assert.equal(quote.fee.currency, service.currency)
      assert.ok(quote.fee.amount >= 0n)
      assert.equal((yield* Stream.runCollect(service.register(day))).length, before.length)
    })
  ),
  rule(
    "refuses an amount that is zero, negative or absurd",
    Effect.fnUntraced(function* (service) {
      for (const amount of [0n, -1n, 2n ** 62n])
        yield* refused(service, request(service, { money: { amount, currency: service.currency } }))
    })
  ),
  rule(
    "refuses a payee that is none, and any card number",
    Effect.fnUntraced(function* (service) {
      const bad: Array<Payee> = [
        { kind: service.payees[0] ?? "phone", value: "" },
        { kind: "card-token", value: "4242424242424242" }
      ]
      if (service.payees.includes("phone"))
        bad.push({ kind: "phone", value: "901234567" }, { kind: "phone", value: "+99890123456789012" })
      for (const payee of bad) yield* refused(service, request(service, { payee }))
    })
  ),
  rule(
    "refuses another currency",
    Effect.fnUntraced(function* (service) {
      const currency = service.currency === "CHF" ? "SEK" : "CHF"
      yield* refused(service, request(service, { money: { amount: 1_000n, currency } }))
    })
  ),
  rule(
    "refuses an id that is no UUID",
    Effect.fnUntraced(function* (service) {
      yield* refused(service, request(service, { id: "payment-1" }))
    })
  ),
  rule(
    "refuses a memo of more than 120 characters",
    Effect.fnUntraced(function* (service) {
      yield* refused(service, request(service, { memo: "m".repeat(121) }))
      assert.equal((yield* service.pay(request(service, { memo: "ў".repeat(120) }))).state, "succeeded")
    })
  ),
  rule(
    "keeps the payee out of its errors",
    Effect.fnUntraced(function* (service) {
      const value = "+99890765432100000"
      const error = yield* Effect.flip(service.pay(request(service, { payee: { kind: "phone", value } })))
      assert.ok(!`${error.message} ${error.subject} ${error.operation}`.includes("765432"), error.message)
    })
  ),
  rule(
    "registers exactly what succeeded, with its reference and amount",
    Effect.fnUntraced(function* (service) {
      const asked = request(service)
      const outcome = yield* service.pay(asked)
      const [line, ...more] = yield* booked(service, asked.id)
      assert.deepEqual(more, [])
      assert.equal(line?.state, "succeeded")
      assert.deepEqual(line.money, asked.money)
      assert.deepEqual(outcome, { state: "succeeded", reference: line.reference })
      assert.deepEqual(yield* Stream.runCollect(service.register("2001-01-01")), [])
    })
  ),
  rule(
    "refuses the register of a day that is none",
    Effect.fnUntraced(function* (service) {
      for (const day of ["yesterday", "2026-13-01", "2026-1-1"]) {
        const error = yield* Effect.flip(Stream.runCollect(service.register(day)))
        assert.equal(error.reason, "InvalidRequest")
      }
    })
  ),
  unsureThenPaid("calls a lost answer unknown, and status then knows that it was paid", "lost-after"),
  unsureThenPaid("calls an answer past the time-out unknown, and status then knows that it was paid", "slow"),
  unsureThenPaid("calls an unreadable answer unknown", "malformed"),
  unsureThenPaid("calls an answer about another id unknown", "wrong-id"),
  unsureThenPaid("calls an error in the place of an answer unknown", "error-body"),
  controlled(
    "calls an answer lost before the payment unknown, and the same id pays once afterwards",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("lost-before")
      assert.equal((yield* service.pay(asked)).state, "unknown")
      assert.equal((yield* service.status(asked.id)).state, "not-found")
      assert.equal((yield* service.pay(asked)).state, "succeeded")
      assert.equal(yield* control.effects(asked.id), 1)
    })
  ),
  controlled(
    "never says that an id is finally not found while it may still be paid",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("late")
      assert.equal((yield* service.pay(asked)).state, "unknown")
      const early = yield* service.status(asked.id)
      assert.ok(early.state !== "not-found" || !early.final, "said finally not found")
      yield* control.settle
      assert.equal((yield* service.status(asked.id)).state, "succeeded")
      assert.equal(yield* control.effects(asked.id), 1)
    })
  ),
  controlled(
    "does not take a second answer for the answer to another payment",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("duplicate")
      const first = yield* service.pay(asked)
      const other = { ...asked, id: randomUUID() }
      const second = yield* service.pay(other)
      if (first.state === "succeeded" && second.state === "succeeded")
        assert.notEqual(first.reference, second.reference)
      assert.equal((yield* service.status(asked.id)).state, "succeeded")
      assert.equal((yield* service.pay(other)).state, "succeeded")
      assert.deepEqual([yield* control.effects(asked.id), yield* control.effects(other.id)], [1, 1])
    })
  ),
  controlled(
    "says pending until it is settled, then that it succeeded",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("pending-success")
      assert.equal((yield* service.pay(asked)).state, "pending")
      assert.deepEqual(yield* booked(service, asked.id), [])
      yield* control.settle
      assert.equal((yield* service.status(asked.id)).state, "succeeded")
      assert.equal((yield* booked(service, asked.id)).length, 1)
      assert.equal(yield* control.effects(asked.id), 1)
    })
  ),
  controlled(
    "says pending until it is settled, then that it failed",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("pending-failure")
      assert.equal((yield* service.pay(asked)).state, "pending")
      yield* control.settle
      assert.equal((yield* service.status(asked.id)).state, "failed")
      assert.deepEqual(yield* booked(service, asked.id), [])
      assert.equal(yield* control.effects(asked.id), 0)
    })
  ),
  controlled(
    "keeps to a failure: status and a repeat agree, and nothing is paid",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("declined")
      const outcome = yield* service.pay(asked)
      assert.equal(outcome.state, "failed")
      assert.deepEqual(yield* service.status(asked.id), outcome)
      assert.deepEqual(yield* service.pay(asked), outcome)
      assert.deepEqual(yield* booked(service, asked.id), [])
      assert.equal(yield* control.effects(asked.id), 0)
    })
  ),
  refusedForNow("says RateLimited when it may not ask now, and nothing is paid", "rate-limited", "RateLimited"),
  refusedForNow("says Unavailable when the rail is away, and nothing is paid", "unavailable", "Unavailable"),
  controlled(
    "registers a payment that came back as returned, beside its payment",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* service.pay(asked)
      yield* control.giveBack(asked.id)
      const lines = yield* booked(service, asked.id)
      assert.deepEqual(lines.map((line) => line.state).sort(), ["returned", "succeeded"])
      for (const line of lines) assert.deepEqual(line.money, asked.money)
    })
  ),
  ...reverseRules,
  ...noticeRules,
  ...cardRules
])
