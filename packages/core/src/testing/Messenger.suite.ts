/**
 * What every channel must keep. What was really delivered is read from the channel's own `outbox`, or through `MessengerControl` where
 * the layer provides one; rules that need it are left out otherwise, and so are rules about faults without a control.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Messenger, MessengerError, type KeptMessage, type Message } from "../ports/Messenger.ts"
import { makeSuite, type Rule } from "./conformance.ts"

/** How the next `send` goes wrong: the answer lost before or after delivery, a final no, or not now. */
export type MessengerFault = "lost-before" | "lost-after" | "refused" | "rate-limited" | "unavailable"

/** A hand on the channel's own side: a fake gateway, a mail catcher. */
export class MessengerControl extends Context.Service<
  MessengerControl,
  {
    readonly next: (fault: MessengerFault) => Effect.Effect<void>
    /** What arrived at this address, oldest first. */
    readonly delivered: (to: string) => Effect.Effect<ReadonlyArray<Pick<Message, "id" | "text">>>
  }
>()("@mahalla/testing/MessengerControl") {}

type Service = Messenger["Service"]
type Control = MessengerControl["Service"]
type Delivered = (to: string) => Effect.Effect<ReadonlyArray<Pick<Message, "id" | "text">>, unknown>

/** An address of this channel that nobody else in the suite uses. */
const address = (service: Service): string => {
  const digits = String(BigInt(`0x${randomUUID().replaceAll("-", "")}`)).slice(0, 7)
  if (service.channel === "email") return `citizen${digits}@example.org`
  return service.channel === "push" || service.channel === "telegram" ? `9${digits}` : `+99890${digits}`
}

const message = (service: Service, change: Partial<Message> = {}): Message => ({
  id: randomUUID(),
  to: address(service),
  text: "Your report was accepted.",
  language: "en",
  class: "notice",
  ...(service.channel === "email" ? { subject: "Your report" } : {}),
  ...change
})

const rule = (name: string, check: (service: Service) => Effect.Effect<void, unknown>): Rule<Messenger, Service> => ({
  name,
  check
})

/** A rule that must see what arrived. */
const seen = (
  name: string,
  check: (service: Service, delivered: Delivered) => Effect.Effect<void, unknown>
): Rule<Messenger, Service> => {
  const eyes = (service: Service) =>
    Effect.map(Effect.serviceOption(MessengerControl), (control): Delivered | undefined => {
      if (Option.isSome(control)) return control.value.delivered
      const outbox = service.outbox
      return outbox === undefined ? undefined : (to) => outbox({ to, limit: 500 })
    })
  return {
    name,
    unless: (service) =>
      Effect.map(eyes(service), (found) =>
        found === undefined ? "the channel has no outbox, and the layer provides no MessengerControl" : undefined
      ),
    check: (service) => Effect.flatMap(eyes(service), (found) => check(service, found ?? (() => Effect.succeed([]))))
  }
}

const controlled = (
  name: string,
  check: (service: Service, control: Control, asked: Message) => Effect.Effect<void, unknown>
): Rule<Messenger, Service> => ({
  name,
  unless: () =>
    Effect.map(Effect.serviceOption(MessengerControl), (control) =>
      Option.isSome(control) ? undefined : "the layer provides no MessengerControl"
    ),
  check: (service) =>
    Effect.flatMap(Effect.serviceOption(MessengerControl), (control) =>
      check(service, Option.getOrThrow(control), message(service))
    )
})

/** A rule for channels that keep messages for people to read. */
const kept = (
  name: string,
  check: (service: Service, outbox: NonNullable<Service["outbox"]>) => Effect.Effect<void, unknown>
): Rule<Messenger, Service> => ({
  name,
  unless: (service) => (service.outbox === undefined ? "the channel keeps no outbox" : undefined),
  check: (service) => (service.outbox === undefined ? Effect.void : check(service, service.outbox))
})

const refusedForNow = (name: string, fault: MessengerFault, reason: string) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next(fault)
      const error = yield* Effect.flip(service.send(asked))
      assert.equal(error.reason, reason)
      assert.equal(error.retryable, true)
      assert.deepEqual(yield* control.delivered(asked.to), [])
      assert.equal((yield* service.send(asked)).state, "accepted")
      assert.equal((yield* control.delivered(asked.to)).length, 1)
    })
  )

const ids = (messages: ReadonlyArray<Pick<KeptMessage, "id">>) => messages.map((one) => one.id)

export const messengerSuite = makeSuite<Messenger, Service>("Messenger", Messenger, [
  seen(
    "delivers a message with every character of its text",
    Effect.fnUntraced(function* (service, delivered) {
      const text = `Сизнинг мурожаатингиз қабул қилинди.\nQo‘qon shahri, 12-uy: \u{1F6B0} "50 %" \\ ${"ў".repeat(300)}`
      const asked = message(service, { text })
      assert.equal((yield* service.send(asked)).state, "accepted")
      assert.deepEqual(
        (yield* delivered(asked.to)).map((one) => [one.id, one.text]),
        [[asked.id, text]]
      )
    })
  ),
  seen(
    "delivers once for one id under twenty parallel sends",
    Effect.fnUntraced(function* (service, delivered) {
      const asked = message(service)
      const outcomes = yield* Effect.all(
        Array.from({ length: 20 }, () => service.send(asked)),
        { concurrency: "unbounded" }
      )
      assert.ok(outcomes.some((outcome) => outcome.state === "accepted"))
      assert.ok(outcomes.every((outcome) => outcome.state !== "refused"))
      assert.deepEqual(ids(yield* delivered(asked.to)), [asked.id])
    })
  ),
  seen(
    "refuses an id that was used for another text",
    Effect.fnUntraced(function* (service, delivered) {
      const asked = message(service)
      yield* service.send(asked)
      const error = yield* Effect.flip(service.send({ ...asked, text: "Something else." }))
      assert.equal(error.reason, "InvalidRequest")
      assert.deepEqual(
        (yield* delivered(asked.to)).map((one) => one.text),
        [asked.text]
      )
    })
  ),
  seen(
    "keeps the order of messages to one person",
    Effect.fnUntraced(function* (service, delivered) {
      const first = message(service)
      const all = [first, ...Array.from({ length: 4 }, () => message(service, { to: first.to }))]
      yield* Effect.forEach(all, (one) => service.send(one))
      assert.deepEqual(ids(yield* delivered(first.to)), ids(all))
    })
  ),
  seen(
    "does not deliver what has expired",
    Effect.fnUntraced(function* (service, delivered) {
      const now = yield* Clock.currentTimeMillis
      const asked = message(service, { class: "code", text: "Code 104729", expiresAt: now - 1 })
      const outcome = yield* service.send(asked)
      assert.equal(outcome.state === "refused" ? outcome.code : outcome.state, "expired")
      assert.deepEqual(yield* delivered(asked.to), [])
    })
  ),
  seen(
    "delivers nothing to an address that is none",
    Effect.fnUntraced(function* (service, delivered) {
      for (const to of ["", " ", "line\nbreak"]) {
        const asked = message(service, { to })
        const outcome = yield* service.send(asked).pipe(
          Effect.catchIf(
            (error) => error.reason === "InvalidRequest",
            () => Effect.succeed({ state: "refused" } as const)
          )
        )
        assert.equal(outcome.state, "refused")
        assert.ok(!ids(yield* delivered(to)).includes(asked.id))
      }
    })
  ),
  rule(
    "refuses an empty text and an id that is no UUID",
    Effect.fnUntraced(function* (service) {
      for (const change of [{ text: "" }, { id: "message-1" }]) {
        const error = yield* Effect.flip(service.send(message(service, change)))
        assert.ok(error instanceof MessengerError)
        assert.equal(error.reason, "InvalidRequest")
        assert.equal(error.retryable, false)
      }
    })
  ),
  rule(
    "keeps address and text out of its errors",
    Effect.fnUntraced(function* (service) {
      const asked = message(service, { id: "message-1", class: "code", text: "Code 104729" })
      const error = yield* Effect.flip(service.send(asked))
      const said = `${error.message} ${error.subject} ${error.operation}`
      assert.ok(!said.includes("104729") && !said.includes(asked.to), said)
    })
  ),
  rule(
    "keeps its receipts open until nobody listens",
    Effect.fnUntraced(function* (service) {
      const listening = yield* Effect.forkChild(Stream.runDrain(service.receipts), { startImmediately: true })
      yield* service.send(message(service))
      yield* Effect.sleep(50)
      assert.equal(listening.pollUnsafe(), undefined, "the receipts ended by themselves")
      yield* Fiber.interrupt(listening)
    })
  ),
  kept(
    "shows the newest messages, and the next ones after a known one, in order",
    Effect.fnUntraced(function* (service, outbox) {
      const first = message(service)
      const all = [first, ...Array.from({ length: 5 }, () => message(service, { to: first.to }))]
      yield* Effect.forEach(all, (one) => service.send(one))
      const sent = ids(all)
      const to = first.to
      assert.deepEqual(ids(yield* outbox({ to, limit: 2 })), sent.slice(-2))
      assert.deepEqual(ids(yield* outbox({ to, limit: 2, after: first.id })), sent.slice(1, 3))
      assert.deepEqual(ids(yield* outbox({ to, after: sent.at(-1) ?? "" })), [])
      assert.deepEqual(ids(yield* outbox({ limit: 6 })), sent)
      const [shown] = yield* outbox({ to, limit: 1 })
      const now = yield* Clock.currentTimeMillis
      assert.ok(shown !== undefined && shown.at <= now && shown.at > now - 60_000)
    })
  ),
  kept(
    "stops showing a message when it expires",
    Effect.fnUntraced(function* (service, outbox) {
      const now = yield* Clock.currentTimeMillis
      const asked = message(service, { class: "code", text: "Code 104729", expiresAt: now + 300 })
      assert.equal((yield* service.send(asked)).state, "accepted")
      assert.deepEqual(ids(yield* outbox({ to: asked.to })), [asked.id])
      yield* Effect.sleep(350)
      assert.deepEqual(yield* outbox({ to: asked.to }), [])
    })
  ),
  kept(
    "shows one tenant's messages when asked for one's",
    Effect.fnUntraced(function* (service, outbox) {
      const [ours, theirs] = [randomUUID(), randomUUID()]
      const asked = message(service, { tenantId: ours })
      for (const one of [
        asked,
        message(service, { to: asked.to, tenantId: theirs }),
        message(service, { to: asked.to })
      ])
        yield* service.send(one)
      assert.deepEqual(ids(yield* outbox({ tenantId: ours })), [asked.id])
      assert.deepEqual(ids(yield* outbox({ tenantId: ours, to: asked.to })), [asked.id])
      assert.deepEqual(ids(yield* outbox({ tenantId: randomUUID() })), [])
    })
  ),
  controlled(
    "calls a lost answer unknown, and a repeat does not deliver twice",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("lost-after")
      assert.equal((yield* service.send(asked)).state, "unknown")
      assert.equal((yield* service.send(asked)).state, "accepted")
      assert.deepEqual(ids(yield* control.delivered(asked.to)), [asked.id])
    })
  ),
  controlled(
    "calls an answer lost before delivery unknown, and a repeat delivers",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("lost-before")
      assert.equal((yield* service.send(asked)).state, "unknown")
      assert.equal((yield* service.send(asked)).state, "accepted")
      assert.deepEqual(ids(yield* control.delivered(asked.to)), [asked.id])
    })
  ),
  controlled(
    "says refused when the channel finally says no",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("refused")
      assert.equal((yield* service.send(asked)).state, "refused")
      assert.deepEqual(yield* control.delivered(asked.to), [])
    })
  ),
  refusedForNow("says RateLimited when it may not send now, and nothing arrives", "rate-limited", "RateLimited"),
  refusedForNow("says Unavailable when the channel is away, and nothing arrives", "unavailable", "Unavailable")
])
