/**
 * What a rail must keep of the things that it need not have: taking payments back, hints, cards. A rail without one of them is not held to
 * its rules, with that reason.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import {
  isCardNumber,
  type Payments,
  PaymentsError,
  type CardFormRequest,
  type PaymentRequest
} from "../ports/Payments.ts"
import type { Rule } from "./conformance.ts"
import { booked, type Control, controlled, PaymentsControl, request, rule, type Service } from "./Payments.probes.ts"

type PaymentsRule = Rule<Payments, Service>

/** Leaves rules out where the service, or the hand on its side, lacks what they are about. */
const where = (
  lacks: (service: Service, control?: Control) => string | undefined,
  rules: ReadonlyArray<PaymentsRule>
) =>
  rules.map((inner): PaymentsRule => ({
    ...inner,
    unless: (service) =>
      Effect.gen(function* () {
        const control = Option.getOrUndefined(yield* Effect.serviceOption(PaymentsControl))
        const reason = lacks(service, control)
        if (reason !== undefined) return reason
        const lacking = inner.unless?.(service)
        return Effect.isEffect(lacking) ? yield* lacking : lacking
      })
  }))

const states = (service: Service, id: string) =>
  Effect.map(booked(service, id), (lines) =>
    lines.map((line) => line.state).sort((one, other) => one.localeCompare(other))
  )

export const reverseRules = where(
  ({ reverse }) => (reverse === undefined ? "the rail takes nothing back" : undefined),
  [
    rule(
      "takes a payment back once, and a repeat agrees",
      Effect.fnUntraced(function* (service) {
        const asked = request(service)
        const paid = yield* service.pay(asked)
        const outcomes = yield* Effect.all(
          Array.from({ length: 5 }, () => service.reverse!(asked.id)),
          { concurrency: "unbounded" }
        )
        assert.ok(outcomes.every((outcome) => outcome.state === "succeeded" || outcome.state === "unknown"))
        assert.equal((yield* service.reverse!(asked.id)).state, "succeeded")
        assert.deepEqual(yield* states(service, asked.id), ["returned", "succeeded"])
        assert.deepEqual(yield* service.status(asked.id), paid)
        assert.deepEqual(yield* service.pay(asked), paid)
        assert.deepEqual(yield* states(service, asked.id), ["returned", "succeeded"])
      })
    ),
    rule(
      "takes nothing back that it never paid",
      Effect.fnUntraced(function* (service) {
        const outcome = yield* Effect.result(service.reverse!(randomUUID()))
        if (outcome._tag === "Success") assert.equal(outcome.success.state, "failed")
        else assert.equal(outcome.failure.reason, "InvalidRequest")
      })
    ),
    controlled(
      "calls a lost answer to a reversal unknown, and a repeat takes back once",
      Effect.fnUntraced(function* (service, control, asked) {
        yield* service.pay(asked)
        yield* control.next("reverse-lost")
        assert.equal((yield* service.reverse!(asked.id)).state, "unknown")
        assert.equal((yield* service.reverse!(asked.id)).state, "succeeded")
        assert.deepEqual(yield* states(service, asked.id), ["returned", "succeeded"])
      })
    ),
    controlled(
      "says that a reversal failed where it was declined, and the payment stays",
      Effect.fnUntraced(function* (service, control, asked) {
        const paid = yield* service.pay(asked)
        yield* control.next("reverse-declined")
        assert.equal((yield* service.reverse!(asked.id)).state, "failed")
        assert.deepEqual(yield* service.status(asked.id), paid)
        assert.deepEqual(yield* states(service, asked.id), ["succeeded"])
      })
    )
  ]
)

/** The first hint about this id; fails when none comes. */
const hinted = Effect.fnUntraced(function* (service: Service, control: Control, asked: PaymentRequest) {
  const heard = yield* service.notices!.pipe(
    Stream.filter((id) => id === asked.id),
    Stream.take(1),
    Stream.runCollect,
    Effect.forkChild({ startImmediately: true })
  )
  yield* Effect.yieldNow
  yield* control.hint!(asked.id)
  assert.deepEqual(yield* Effect.timeout(Fiber.join(heard), "5 seconds"), [asked.id])
})

export const noticeRules = where(
  ({ notices }, control) =>
    notices === undefined
      ? "the rail says nothing unasked"
      : control?.hint === undefined
        ? "the layer has no hand that makes the rail say something"
        : undefined,
  [
    controlled("hints at the id of which the rail has said something", (service, control, asked) =>
      Effect.andThen(service.pay(asked), hinted(service, control, asked))
    ),
    controlled(
      "takes a hint for no more than a hint: what is pending stays pending until it is settled",
      Effect.fnUntraced(function* (service, control, asked) {
        yield* control.next("pending-success")
        yield* service.pay(asked)
        yield* hinted(service, control, asked)
        assert.equal((yield* service.status(asked.id)).state, "pending")
        assert.deepEqual(yield* booked(service, asked.id), [])
        yield* control.settle
        assert.equal((yield* service.status(asked.id)).state, "succeeded")
        assert.equal(yield* control.effects(asked.id), 1)
      })
    )
  ]
)

const formRequest = (change: Partial<CardFormRequest> = {}): CardFormRequest => ({
  id: randomUUID(),
  returnTo: "https://city.example/cards",
  language: "uz",
  ...change
})

/** A card that somebody has typed into the rail's form. */
const bound = Effect.fnUntraced(function* (service: Service, control: Control, asked: CardFormRequest) {
  const form = yield* service.bindCard!(asked)
  const personalNumber = yield* control.fillIn!(form.url)
  const binding = yield* service.boundCard!(asked.id)
  assert.ok(binding.state === "bound", `the binding is ${binding.state}`)
  return { ...binding, personalNumber }
})

export const cardRules = [
  ...where(
    ({ bindCard }) => (bindCard === undefined ? "the rail binds no cards" : undefined),
    [
      rule(
        "gives a form for a card, and the binding waits until somebody has filled it in",
        Effect.fnUntraced(function* (service) {
          const asked = formRequest()
          const form = yield* service.bindCard!(asked)
          assert.ok(URL.canParse(form.url), "the form has no address")
          assert.ok(form.expiresAt > (yield* Clock.currentTimeMillis), "the form has expired")
          assert.deepEqual(yield* service.boundCard!(asked.id), { state: "waiting" })
        })
      ),
      rule(
        "refuses a form without a UUID, with a return to nowhere or in no language",
        Effect.fnUntraced(function* (service) {
          for (const change of [{ id: "binding-1" }, { returnTo: "javascript:alert(1)" }, { language: "<uz>" }]) {
            const error = yield* Effect.flip(service.bindCard!(formRequest(change)))
            assert.ok(error instanceof PaymentsError)
            assert.equal(error.reason, "InvalidRequest")
          }
        })
      ),
      rule(
        "has bound nothing for an id that it never saw",
        Effect.fnUntraced(function* (service) {
          const binding = yield* Effect.result(service.boundCard!(randomUUID()))
          if (binding._tag === "Success") assert.equal(binding.success.state, "failed")
          else assert.equal(binding.failure.reason, "InvalidRequest")
        })
      )
    ]
  ),
  ...where(
    ({ bindCard }, control) =>
      bindCard === undefined
        ? "the rail binds no cards"
        : control?.fillIn === undefined
          ? "the layer has no hand that fills in a form"
          : undefined,
    [
      controlled(
        "binds the card that was typed into the form, to a token that can be paid and shows no number",
        Effect.fnUntraced(function* (service, control) {
          const { masked, token } = yield* bound(service, control, formRequest())
          assert.ok(!isCardNumber(token), "the token is a card number")
          assert.ok(masked.replace(/\D/g, "").length <= 10, "more than ten digits of the card are shown")
          const paid = yield* service.pay(request(service, { payee: { kind: "card-token", value: token } }))
          assert.equal(paid.state, "succeeded")
        })
      ),
      controlled(
        "leads a repeat of a binding to the same one",
        Effect.fnUntraced(function* (service, control) {
          const asked = formRequest()
          yield* service.bindCard!(asked)
          const { token } = yield* bound(service, control, asked)
          yield* service.bindCard!(asked)
          const again = yield* service.boundCard!(asked.id)
          assert.ok(again.state === "bound")
          assert.equal(again.token, token)
        })
      )
    ]
  ),
  ...where(
    ({ bindCard, cardBelongsTo }, control) =>
      bindCard === undefined || cardBelongsTo === undefined
        ? "the rail does not know whose a card is"
        : control?.fillIn === undefined
          ? "the layer has no hand that fills in a form"
          : undefined,
    [
      controlled(
        "tells whose a bound card is",
        Effect.fnUntraced(function* (service, control) {
          const { personalNumber, token } = yield* bound(service, control, formRequest())
          assert.equal(yield* service.cardBelongsTo!(token, personalNumber), true)
          assert.equal(yield* service.cardBelongsTo!(token, [...personalNumber].toReversed().join("")), false)
          const nobody = yield* Effect.result(service.cardBelongsTo!("tok_of_nobody", personalNumber))
          assert.ok(nobody._tag === "Failure" || !nobody.success, "a card that nobody has belongs to somebody")
        })
      )
    ]
  )
]
