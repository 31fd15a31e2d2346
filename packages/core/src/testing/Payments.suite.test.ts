import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { Payments, PaymentsError, type PaymentOutcome } from "../ports/Payments.ts"
import { memoryPayments } from "./Payments.memory.ts"
import { PaymentsControl, paymentsSuite } from "./Payments.suite.ts"

paymentsSuite.run({ describe, it }, { name: "memory", layer: memoryPayments() })
paymentsSuite.run({ describe, it }, { name: "memory, with cards", layer: memoryPayments({ cards: true }) })

type Service = Payments["Service"]
type Break = (service: Service) => Partial<Service>

/** A fake in memory with one thing spoiled. */
const broken = (spoil: Break, fake = memoryPayments()) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* Payments
      const control = yield* PaymentsControl
      return Context.make(Payments, Payments.of({ ...service, ...spoil(service) })).pipe(
        Context.add(PaymentsControl, control)
      )
    })
  ).pipe(Layer.provide(fake))

const error = (reason: "Unavailable" | "InvalidRequest", message = "") =>
  new PaymentsError({ reason, operation: "pay", subject: "", message, retryable: reason === "Unavailable" })
const map =
  (change: (outcome: PaymentOutcome) => PaymentOutcome): Break =>
  (service) => ({ pay: (request) => Effect.map(service.pay(request), change) })
const unknownBecomes = (outcome: PaymentOutcome) =>
  map((real) => (real.state === "unknown" && !real.message.includes("lost") ? outcome : real))
const always: PaymentOutcome = { state: "succeeded", reference: "r" }
const failed: PaymentOutcome = { state: "failed", code: "timeout", message: "No answer." }
/** Takes what the port must refuse. */
const lenient = (about: RegExp): Break => {
  return (service) => ({
    pay: (request) =>
      service
        .pay(request)
        .pipe(Effect.catch((wrong) => (about.test(wrong.message) ? Effect.succeed(always) : Effect.fail(wrong))))
  })
}

const breaks: Record<string, Break> = {
  "pays once for one id under twenty parallel calls": (service) => {
    let call = 0
    return {
      pay: (request) => Effect.map(service.pay(request), () => ({ state: "succeeded", reference: `r${++call}` }))
    }
  },
  "gives a repeat the answer of the first call": (service) => {
    const seen = new Set<string>()
    return {
      pay: (request) =>
        seen.has(request.id)
          ? Effect.fail(error("InvalidRequest", "Duplicate."))
          : Effect.tap(service.pay(request), () => Effect.sync(() => seen.add(request.id)))
    }
  },
  "refuses an id that was used for another payment": lenient(/another payment/),
  "pays once when a call was interrupted and is made again": (service) => {
    const begun = new Set<string>()
    return {
      pay: (request) =>
        begun.has(request.id)
          ? Effect.fail(error("Unavailable", "In progress."))
          : Effect.andThen(
              Effect.sync(() => begun.add(request.id)),
              Effect.delay(service.pay(request), 5)
            )
    }
  },
  "does not know an id that it never saw": () => ({ status: () => Effect.succeed(failed) }),
  "quotes without paying": (service) => ({
    quote: (request) => Effect.andThen(service.pay({ ...request, id: crypto.randomUUID() }), service.quote(request))
  }),
  "refuses an amount that is zero, negative or absurd": lenient(/amount must/),
  "refuses a payee that is none, and any card number": lenient(/card-token/),
  "refuses another currency": lenient(/Only UZS/),
  "refuses an id that is no UUID": lenient(/UUID/),
  "refuses a memo of more than 120 characters": lenient(/memo/),
  "keeps the payee out of its errors": (service) => ({
    pay: (request) =>
      Effect.mapError(service.pay(request), () => error("InvalidRequest", `Bad phone ${request.payee.value}.`))
  }),
  "registers exactly what succeeded, with its reference and amount": (service) => ({
    register: (day) => Stream.map(service.register(day), (line) => ({ ...line, reference: "other" }))
  }),
  "refuses the register of a day that is none": (service) => ({
    register: (day) => Stream.catch(service.register(day), () => Stream.empty)
  }),
  "calls a lost answer unknown, and status then knows that it was paid": map((outcome) =>
    outcome.state === "unknown" ? failed : outcome
  ),
  "calls an answer past the time-out unknown, and status then knows that it was paid": unknownBecomes(failed),
  "calls an unreadable answer unknown": unknownBecomes(failed),
  "calls an answer about another id unknown": unknownBecomes(always),
  "calls an error in the place of an answer unknown": unknownBecomes(failed),
  "calls an answer lost before the payment unknown, and the same id pays once afterwards": (service) => ({
    pay: (request) =>
      Effect.flatMap(service.pay(request), (outcome) =>
        outcome.state === "unknown" ? Effect.fail(error("Unavailable")) : Effect.succeed(outcome)
      )
  }),
  "never says that an id is finally not found while it may still be paid": (service) => ({
    status: (id) =>
      Effect.map(service.status(id), (status) => (status.state === "not-found" ? { ...status, final: true } : status))
  }),
  "does not take a second answer for the answer to another payment": (service) => {
    let first: PaymentOutcome | undefined
    return {
      pay: (request) =>
        first !== undefined
          ? Effect.succeed(first)
          : Effect.tap(service.pay(request), (outcome) => Effect.sync(() => void (first = outcome)))
    }
  },
  "says pending until it is settled, then that it succeeded": map((outcome) =>
    outcome.state === "pending" ? always : outcome
  ),
  "says pending until it is settled, then that it failed": map((outcome) =>
    outcome.state === "pending" ? failed : outcome
  ),
  "keeps to a failure: status and a repeat agree, and nothing is paid": (service) => {
    let calls = 0
    return {
      pay: (request) =>
        Effect.map(service.pay(request), (outcome) => (outcome.state === "failed" && ++calls > 1 ? always : outcome))
    }
  },
  "says RateLimited when it may not ask now, and nothing is paid": (service) => ({
    pay: (request) => Effect.mapError(service.pay(request), () => error("Unavailable"))
  }),
  "says Unavailable when the rail is away, and nothing is paid": (service) => ({
    pay: (request) =>
      Effect.catch(service.pay(request), () => Effect.succeed({ state: "unknown", message: "" } as const))
  }),
  "registers a payment that came back as returned, beside its payment": (service) => ({
    register: (day) => Stream.filter(service.register(day), (line) => line.state !== "returned")
  })
}

const reversal =
  (change: (outcome: PaymentOutcome) => PaymentOutcome): Break =>
  (service) => ({ reverse: (id) => Effect.map(service.reverse!(id), change) })

/** Of a rail that has all that one need not have. */
const optional: Record<string, Break> = {
  "takes a payment back once, and a repeat agrees": () => ({ reverse: () => Effect.succeed(always) }),
  "takes nothing back that it never paid": (service) => ({
    reverse: (id) => Effect.catch(service.reverse!(id), () => Effect.succeed(always))
  }),
  "calls a lost answer to a reversal unknown, and a repeat takes back once": reversal((outcome) =>
    outcome.state === "unknown" ? failed : outcome
  ),
  "says that a reversal failed where it was declined, and the payment stays": reversal((outcome) =>
    outcome.state === "failed" ? always : outcome
  ),
  "hints at the id of which the rail has said something": () => ({ notices: Stream.never }),
  "takes a hint for no more than a hint: what is pending stays pending until it is settled": (service) => {
    let heard = false
    return {
      notices: Stream.tap(service.notices!, () => Effect.sync(() => void (heard = true))),
      status: (id) => Effect.suspend(() => (heard ? Effect.succeed(always) : service.status(id)))
    }
  },
  "gives a form for a card, and the binding waits until somebody has filled it in": () => ({
    boundCard: () => Effect.succeed({ state: "bound", token: "tok_1", masked: "860000******0001" })
  }),
  "refuses a form without a UUID, with a return to nowhere or in no language": (service) => ({
    bindCard: (asked) => service.bindCard!({ ...asked, returnTo: "https://city.example/" })
  }),
  "has bound nothing for an id that it never saw": (service) => ({
    boundCard: (id) => Effect.catch(service.boundCard!(id), () => Effect.succeed({ state: "waiting" } as const))
  }),
  "binds the card that was typed into the form, to a token that can be paid and shows no number": (service) => ({
    boundCard: (id) => Effect.map(service.boundCard!(id), (binding) => ({ ...binding, masked: "8600 1234 5678 9012" }))
  }),
  "leads a repeat of a binding to the same one": (service) => {
    let forms = 0
    return {
      boundCard: (id) =>
        Effect.map(service.boundCard!(id), (binding) =>
          binding.state === "bound" ? { ...binding, token: `tok_${forms}` } : binding
        ),
      bindCard: (asked) => Effect.tap(service.bindCard!(asked), () => Effect.sync(() => forms++))
    }
  },
  "tells whose a bound card is": () => ({ cardBelongsTo: () => Effect.succeed(true) })
}

describe("Payments suite", () => {
  it("has a broken rail for every rule", () => {
    expect(Object.keys({ ...breaks, ...optional }).sort()).toEqual(paymentsSuite.rules.map((rule) => rule.name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it(`notices a rail that breaks: ${rule}`, async () => {
      expect(await paymentsSuite.verdict(rule, broken(spoil))).toBe("broken")
    })
  for (const [rule, spoil] of Object.entries(optional))
    it(`notices a rail that breaks: ${rule}`, async () => {
      expect(await paymentsSuite.verdict(rule, broken(spoil, memoryPayments({ cards: true })))).toBe("broken")
      expect(await paymentsSuite.verdict(rule, memoryPayments())).toBe("skipped")
    })
  it("leaves out what needs a hand on the rail's side, with the reason", async () => {
    const alone = Layer.effectContext(Effect.map(Payments, (service) => Context.make(Payments, service))).pipe(
      Layer.provide(memoryPayments())
    )
    expect(await paymentsSuite.verdict("calls an unreadable answer unknown", alone)).toBe("skipped")
  })
})
