import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { Messenger, MessengerError, type SendOutcome } from "../ports/Messenger.ts"
import { memoryMessenger } from "./Messenger.memory.ts"
import { MessengerControl, messengerSuite } from "./Messenger.suite.ts"

messengerSuite.run({ describe, it }, { name: "memory", layer: memoryMessenger() })

type Service = Messenger["Service"]
type Control = MessengerControl["Service"]
type Break = (service: Service, control: Control) => Partial<Service> & Partial<Pick<Control, "delivered">>

/** The fake in memory with one thing spoiled. */
const broken = (spoil: Break) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* Messenger
      const control = yield* MessengerControl
      const { delivered = control.delivered, ...changed } = spoil(service, control)
      return Context.make(Messenger, Messenger.of({ ...service, ...changed })).pipe(
        Context.add(MessengerControl, { ...control, delivered })
      )
    })
  ).pipe(Layer.provide(memoryMessenger()))

const accepted: SendOutcome = { state: "accepted" }
const twice: Break = (_, control) => ({
  delivered: (to) => Effect.map(control.delivered(to), (messages) => messages.flatMap((one) => [one, one]))
})
const lenient: Break = (service) => ({
  send: (message) => Effect.catch(service.send(message), () => Effect.succeed(accepted))
})
const outcome =
  (from: SendOutcome["state"], to: SendOutcome): Break =>
  (service) => ({ send: (message) => Effect.map(service.send(message), (real) => (real.state === from ? to : real)) })
const otherError: Break = (service) => ({
  send: (message) =>
    Effect.mapError(
      service.send(message),
      (cause) =>
        new MessengerError({
          reason: "Unauthorized",
          operation: "send",
          subject: message.to,
          message: `Could not send "${message.text}".`,
          retryable: true,
          cause
        })
    )
})

const breaks: Record<string, Break> = {
  "delivers a message with every character of its text": (service) => ({
    send: (message) => service.send({ ...message, text: message.text.slice(0, 160) })
  }),
  "delivers once for one id under twenty parallel sends": twice,
  "refuses an id that was used for another text": lenient,
  "keeps the order of messages to one person": (_, control) => ({
    delivered: (to) => Effect.map(control.delivered(to), (messages) => messages.toReversed())
  }),
  "does not deliver what has expired": (service) => ({
    send: (message) => service.send({ ...message, expiresAt: Infinity })
  }),
  "delivers nothing to an address that is none": lenient,
  "refuses an empty text and an id that is no UUID": otherError,
  "keeps address and text out of its errors": otherError,
  "keeps its receipts open until nobody listens": () => ({ receipts: Stream.empty }),
  "shows the newest messages, and the next ones after a known one, in order": (service) => ({
    outbox: (query) => service.outbox?.({ ...query, after: "nobody" }) ?? Effect.succeed([])
  }),
  "stops showing a message when it expires": (service) => {
    const all: Array<string> = []
    return {
      send: (message) => Effect.tap(service.send(message), () => Effect.sync(() => all.push(message.id))),
      outbox: () =>
        Effect.succeed(all.map((id) => ({ id, to: "", text: "", language: "en", class: "code" as const, at: 0 })))
    }
  },
  "shows one tenant's messages when asked for one's": (service) => ({
    outbox: ({ limit, to }) =>
      service.outbox?.({ ...(to === undefined ? {} : { to }), ...(limit === undefined ? {} : { limit }) }) ??
      Effect.succeed([])
  }),
  "calls a lost answer unknown, and a repeat does not deliver twice": outcome("unknown", accepted),
  "calls an answer lost before delivery unknown, and a repeat delivers": outcome("unknown", accepted),
  "says refused when the channel finally says no": outcome("refused", { state: "unknown", message: "" }),
  "says RateLimited when it may not send now, and nothing arrives": otherError,
  "says Unavailable when the channel is away, and nothing arrives": lenient
}

describe("Messenger suite", () => {
  it("has a broken channel for every rule", () => {
    expect(Object.keys(breaks).sort()).toEqual(messengerSuite.rules.map((rule) => rule.name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it(`notices a channel that breaks: ${rule}`, async () => {
      expect(await messengerSuite.verdict(rule, broken(spoil))).toBe("broken")
    })
})
