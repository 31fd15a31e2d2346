import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { type Message, Messenger } from "@mahalla/core/plugin"
import { hostOutward, MessengerControl, messengerSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { assert, describe, it } from "@effect/vitest"
import webPush from "web-push"
import { WebPushConfig } from "./config.ts"
import { makeWebPush } from "./WebPushMessenger.ts"

interface Shown {
  readonly id: string
  readonly body: string
  readonly title?: string
  readonly link?: string
  readonly ttl: number
  readonly urgency: string
  readonly topic: string
  readonly subject: string
}

const { privateKey, publicKey } = webPush.generateVAPIDKeys()
const config = { contact: "mailto:city@example.org", publicKey, privateKey: Redacted.make(privateKey) }

const service = Effect.gen(function* () {
  const script = fileURLToPath(new URL("./test/service.ts", import.meta.url))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script], {
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (running) =>
      Effect.promise(async () => {
        running.kill("SIGKILL")
        await once(running, "exit")
      })
  )
  const [line] = yield* Effect.promise(() => once(createInterface(child.stdout), "line"))
  const url = `http://127.0.0.1:${(JSON.parse(String(line)) as { readonly port: number }).port}`
  const ask = <A>(path: string) => Effect.promise(async () => (await fetch(`${url}/${path}`)).json() as Promise<A>)
  const subscriptions = new Map<string, Promise<string>>()
  const made = async (name: string) => {
    const keys = await Effect.runPromise(ask<object>(`subscribe/${name}`))
    return JSON.stringify({ endpoint: `${url}/push/${name}`, keys })
  }
  const subscribe = (name: string) =>
    Effect.promise(() => {
      const before = subscriptions.get(name) ?? made(name)
      subscriptions.set(name, before)
      return before
    })
  const messenger = yield* Effect.provide(makeWebPush(config), hostOutward(["127.0.0.0/8"]))
  return { url, ask, subscribe, messenger, messages: (name: string) => ask<ReadonlyArray<Shown>>(`messages/${name}`) }
})

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const { ask, messages, messenger, subscribe } = yield* service
    // The suite's addresses are numbers: each is a browser.
    const send = (message: Message) =>
      /^\d+$/.test(message.to)
        ? Effect.flatMap(subscribe(message.to), (to) => messenger.send({ ...message, to }))
        : messenger.send(message)
    return Context.make(Messenger, { ...messenger, send }).pipe(
      Context.add(MessengerControl, {
        next: (fault) => ask(`fault/${fault}`),
        delivered: (to) =>
          Effect.map(messages(encodeURIComponent(to)), (all) => all.map(({ body, id }) => ({ id, text: body })))
      })
    )
  })
)

messengerSuite.run({ describe, it }, { name: "Web Push", layer })

const notice = (to: string, change: object = {}): Message => ({
  id: randomUUID(),
  to,
  subject: "Hisobot",
  text: "Hisobotingiz qabul qilindi.",
  link: "https://city.example/cases/1",
  language: "uz",
  class: "notice",
  ...change
})

describe("Web Push", () => {
  it.live("says_how_long_how_urgent_and_of_which_topic_a_message_is", () =>
    Effect.gen(function* () {
      const { messages, messenger, subscribe } = yield* service
      const to = yield* subscribe("one")
      const asked = notice(to)
      assert.strictEqual((yield* messenger.send(asked)).state, "accepted")
      yield* messenger.send(notice(to, { class: "code", text: "Code 104729" }))
      yield* messenger.send(notice(to, { class: "bulk", expiresAt: Date.now() + 90_500 }))
      const [first, code, bulk] = yield* messages("one")
      assert.deepInclude(first, { id: asked.id, title: "Hisobot", body: asked.text, link: asked.link! })
      assert.deepInclude(first, { ttl: 259_200, urgency: "normal", subject: "mailto:city@example.org" })
      assert.match(first!.topic, /^[\w-]{22}$/)
      assert.deepInclude(code, { ttl: 600, urgency: "high" })
      assert.deepInclude(bulk, { urgency: "low" })
      assert.approximately(bulk!.ttl, 89, 1)
    }).pipe(Effect.scoped)
  )

  it.live("cuts_a_text_that_no_push_service_would_take", () =>
    Effect.gen(function* () {
      const { messages, messenger, subscribe } = yield* service
      const asked = notice(yield* subscribe("long"), { text: "ў\u{1F6B0}".repeat(5_000) })
      assert.strictEqual((yield* messenger.send(asked)).state, "accepted")
      const [{ body } = { body: "" }] = yield* messages("long")
      assert.ok(body.endsWith("…") && body.isWellFormed())
      assert.isAbove(Buffer.byteLength(body), 2_000)
    }).pipe(Effect.scoped)
  )

  it.live("tells_which_browsers_are_gone", () =>
    Effect.gen(function* () {
      const { ask, messenger, subscribe, url } = yield* service
      const to = yield* subscribe("left")
      yield* ask("leave/left")
      assert.deepInclude(yield* messenger.send(notice(to)), { state: "refused", gone: true, code: "410" })
      const { keys } = JSON.parse(to) as { readonly keys: object }
      for (const none of [
        "a token",
        "{}",
        JSON.stringify({ endpoint: "ftp://push.example/1", keys }),
        JSON.stringify({ endpoint: `${url}/push/left`, keys: { p256dh: "AAAA", auth: "AAAA" } })
      ])
        assert.deepInclude(yield* messenger.send(notice(none)), {
          state: "refused",
          gone: true,
          code: "no-subscription"
        })
    }).pipe(Effect.scoped)
  )

  it.live("goes_nowhere_inside_the_house_whatever_a_browser_has_named", () =>
    Effect.gen(function* () {
      const { messages, subscribe, url } = yield* service
      const guarded = yield* Effect.provide(makeWebPush(config), hostOutward())
      const { keys } = JSON.parse(yield* subscribe("inside")) as { readonly keys: object }
      for (const endpoint of [
        `${url}/push/inside`,
        "https://localhost/push",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/push",
        "https://user:secret@push.example/1",
        "https://1.1.1.1:22/push"
      ]) {
        const outcome = yield* guarded.send(notice(JSON.stringify({ endpoint, keys })))
        assert.deepInclude(outcome, { state: "refused", code: "forbidden-address" }, endpoint)
      }
      assert.deepEqual(yield* messages("inside"), [])
    }).pipe(Effect.scoped)
  )

  it.live("keeps_to_what_a_push_service_says", () =>
    Effect.gen(function* () {
      const { ask, messages, messenger, subscribe } = yield* service
      const to = yield* subscribe("busy")
      yield* ask("fault/rate-limited")
      assert.include((yield* Effect.flip(messenger.send(notice(to)))).message, "7 s")
      yield* ask("fault/too-large")
      assert.deepInclude(yield* messenger.send(notice(to)), { state: "refused", code: "413" })
      yield* ask("fault/redirect")
      assert.deepInclude(yield* messenger.send(notice(to)), { state: "refused", code: "307" })
      assert.deepEqual(yield* messages("busy"), [])
    }).pipe(Effect.scoped)
  )

  it.live("says_when_its_keys_are_no_pair", () =>
    Effect.gen(function* () {
      const { subscribe } = yield* service
      const other = webPush.generateVAPIDKeys()
      const mixed = { ...config, privateKey: Redacted.make(other.privateKey) }
      const messenger = yield* Effect.provide(makeWebPush(mixed), hostOutward(["127.0.0.0/8"]))
      assert.strictEqual((yield* Effect.flip(messenger.send(notice(yield* subscribe("mixed"))))).reason, "Unauthorized")
    }).pipe(Effect.scoped)
  )

  it("refuses_settings_that_cannot_work", () => {
    const decode = Schema.decodeUnknownExit(WebPushConfig)
    const good = { contact: "mailto:city@example.org", publicKey, privateKey }
    assert.strictEqual(decode(good)._tag, "Success")
    for (const wrong of [{ contact: "city" }, { publicKey: privateKey }, { privateKey: publicKey }])
      assert.strictEqual(decode({ ...good, ...wrong })._tag, "Failure")
  })
})
