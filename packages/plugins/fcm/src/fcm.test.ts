import { spawn } from "node:child_process"
import { generateKeyPairSync, randomUUID } from "node:crypto"
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
import { FcmConfig } from "./config.ts"
import { makeFcm } from "./FcmMessenger.ts"

interface Shown {
  readonly notification: { readonly title?: string; readonly body: string }
  readonly data: { readonly id: string; readonly link?: string }
  readonly android: { readonly ttl: string; readonly priority: string }
  readonly apns: { readonly headers: Readonly<Record<string, string>> }
}

const google = Effect.gen(function* () {
  const script = fileURLToPath(new URL("./test/google.ts", import.meta.url))
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
  const { key, port } = JSON.parse(String(line)) as { readonly port: number; readonly key: string }
  const url = `http://127.0.0.1:${port}`
  const ask = <A>(path: string) => Effect.promise(async () => (await fetch(`${url}/${path}`)).json() as Promise<A>)
  const open = (change: Partial<FcmConfig> = {}) =>
    Effect.provide(
      makeFcm({
        projectId: "city",
        clientEmail: "city@project.example",
        privateKey: Redacted.make(key),
        tokenUrl: `${url}/token`,
        url,
        ...change
      }),
      hostOutward(["127.0.0.0/8"])
    )
  return {
    ask,
    open,
    messenger: yield* open(),
    messages: (to: string) => ask<ReadonlyArray<Shown>>(`messages?to=${encodeURIComponent(to)}`)
  }
})

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const { ask, messages, messenger } = yield* google
    return Context.make(Messenger, messenger).pipe(
      Context.add(MessengerControl, {
        next: (fault) => ask(`fault?name=${fault}`),
        delivered: (to) =>
          Effect.map(messages(to), (all) =>
            all.map(({ data, notification }) => ({ id: data.id, text: notification.body }))
          )
      })
    )
  })
)

messengerSuite.run({ describe, it }, { name: "FCM", layer })

const notice = (change: object = {}): Message => ({
  id: randomUUID(),
  to: `cX9:APA91b-${randomUUID()}`,
  subject: "Hisobot",
  text: "Hisobotingiz qabul qilindi.",
  link: "https://city.example/cases/1",
  language: "uz",
  class: "notice",
  ...change
})

describe("FCM", () => {
  it.live("says_how_long_and_how_urgent_a_message_is", () =>
    Effect.gen(function* () {
      const { messages, messenger } = yield* google
      const asked = notice({ expiresAt: Date.now() + 90_500, text: "ў\u{1F6B0}".repeat(2_000) })
      assert.strictEqual((yield* messenger.send(asked)).state, "accepted")
      const [shown] = yield* messages(asked.to)
      assert.match(shown!.android.ttl, /^(89|90)s$/)
      assert.strictEqual(shown!.android.priority, "HIGH")
      assert.deepInclude(shown!.data, { id: asked.id, link: asked.link! })
      assert.strictEqual([...shown!.notification.body].length, 1_000)
      assert.ok(shown!.notification.body.endsWith("…"))
      assert.deepInclude(shown!.apns.headers, { "apns-priority": "10", "apns-collapse-id": asked.id })
    }).pipe(Effect.scoped)
  )

  it.live("gets_one_token_for_many_and_another_when_it_is_not_taken", () =>
    Effect.gen(function* () {
      const { ask, messenger } = yield* google
      const send = () =>
        Effect.all(
          Array.from({ length: 10 }, () => messenger.send(notice())),
          { concurrency: 10 }
        )
      yield* send()
      assert.strictEqual(yield* ask("given"), 1)
      yield* ask("expire")
      assert.ok((yield* send()).every(({ state }) => state === "accepted"))
      assert.strictEqual(yield* ask("given"), 2)
    }).pipe(Effect.scoped)
  )

  it.live("tells_which_apps_are_gone_and_what_is_wrong_otherwise", () =>
    Effect.gen(function* () {
      const { ask, messages, messenger } = yield* google
      for (const [fault, expected] of [
        ["refused", { state: "refused", code: "UNREGISTERED", gone: true }],
        ["mismatch", { state: "refused", code: "SENDER_ID_MISMATCH", gone: true }],
        ["invalid", { state: "refused", code: "INVALID_ARGUMENT" }],
        ["internal", { state: "unknown" }],
        ["html", { state: "unknown" }]
      ] as const) {
        yield* ask(`fault?name=${fault}`)
        const asked = notice()
        assert.deepInclude(yield* messenger.send(asked), expected, fault)
        assert.deepEqual(yield* messages(asked.to), [])
      }
      yield* ask("fault?name=rate-limited")
      assert.include((yield* Effect.flip(messenger.send(notice()))).message, "60 s")
      for (let n = 0; n < 2; n++) yield* ask("fault?name=apns")
      assert.strictEqual((yield* Effect.flip(messenger.send(notice()))).reason, "Unauthorized")
      for (const to of ["two words", "a/b", "x".repeat(5_000)])
        assert.strictEqual((yield* Effect.flip(messenger.send(notice({ to })))).reason, "InvalidRequest")
    }).pipe(Effect.scoped)
  )

  it.live("says_who_is_not_let_in_and_what_is_not_there", () =>
    Effect.gen(function* () {
      const { ask, open } = yield* google
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 })
      const other = privateKey.export({ type: "pkcs8", format: "pem" }).toString()
      for (const key of [other, "no key"]) {
        const messenger = yield* open({ privateKey: Redacted.make(key) })
        assert.strictEqual((yield* Effect.flip(messenger.send(notice()))).reason, "Unauthorized")
      }
      const nobody = "http://127.0.0.1:9"
      for (const change of [{ url: nobody }, { tokenUrl: nobody }]) {
        const messenger = yield* open(change)
        assert.deepInclude(yield* Effect.flip(messenger.send(notice())), { reason: "Unavailable", retryable: true })
      }
      yield* ask("fault?name=no-token")
      const messenger = yield* open()
      assert.strictEqual((yield* Effect.flip(messenger.send(notice()))).reason, "Unavailable")
    }).pipe(Effect.scoped)
  )

  it("refuses_settings_that_cannot_work", () => {
    const decode = Schema.decodeUnknownExit(FcmConfig)
    const good = { projectId: "city", clientEmail: "city@project.example", privateKey: "key" }
    assert.strictEqual(decode(good)._tag, "Success")
    for (const wrong of [{ projectId: "a/b" }, { privateKey: "" }, { url: "fcm" }])
      assert.strictEqual(decode({ ...good, ...wrong })._tag, "Failure")
  })
})
