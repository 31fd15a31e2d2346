/** What Eskiz and PlayMobile have in common, each against its simulator. */
import { randomUUID } from "node:crypto"
import { fileURLToPath } from "node:url"
import { messengerSuite } from "@mahalla/core/testing"
import { assert, describe, it } from "@effect/vitest"
import type { Messenger } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { until } from "../test/smpp.ts"
import { keptAt, type Kind, opened, providerAt, suiteLayer, token } from "../test/providers.ts"
import { endOf, spawned, temporary } from "../test/simulator.ts"

const once = "the provider has no call that tells whether it knows our id: what may have been taken is never sent again"

let numbers = 1_000_000
const notice = (change: object = {}) => ({
  id: randomUUID(),
  to: `+99890${numbers++}`,
  text: "Murojaatingiz qabul qilindi.",
  language: "uz",
  class: "notice" as const,
  ...change
})

const nextReceipt = (messenger: Messenger["Service"]) =>
  Effect.map(Stream.runHead(messenger.receipts), Option.getOrUndefined)

const kinds: ReadonlyArray<Kind> = ["eskiz", "playmobile"]
for (const kind of kinds) {
  messengerSuite.run(
    { describe, it },
    {
      name: `SMS by ${kind}`,
      layer: suiteLayer(kind),
      skip: [
        { rule: "calls a lost answer unknown, and a repeat does not deliver twice", reason: once },
        { rule: "calls an answer lost before delivery unknown, and a repeat delivers", reason: once }
      ]
    }
  )

  describe(`SMS by ${kind}`, () => {
    it.live("what_may_have_been_taken_is_unknown_until_a_receipt_tells", () =>
      Effect.gen(function* () {
        const { heard, messenger, provider } = yield* opened(kind)
        for (const fault of ["lost-after", "html", "server-error", "slow"]) {
          const one = notice()
          yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: [fault] }))
          assert.strictEqual((yield* messenger.send(one)).state, "unknown", fault)
          yield* until(() => heard.includes(`${one.id} delivered`))
          assert.strictEqual((yield* messenger.send(one)).state, "accepted", fault)
          assert.strictEqual((yield* keptAt(provider, one.to)).length, 1, fault)
        }
        const never = notice()
        yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: ["lost-before"] }))
        assert.strictEqual((yield* messenger.send(never)).state, "unknown")
        assert.strictEqual((yield* messenger.send(never)).state, "unknown")
        assert.strictEqual((yield* keptAt(provider, never.to)).length, 0)
      }).pipe(Effect.scoped)
    )

    it.live("receipts_count_once_whatever_their_order", () =>
      Effect.gen(function* () {
        const { heard, messenger, provider } = yield* opened(kind)
        const faults = ["early-receipt", "double-receipt", "out-of-order", "no-receipt", "wrong-id"]
        const all = faults.map(() => notice())
        for (const [index, fault] of faults.entries()) {
          yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: [fault] }))
          assert.strictEqual((yield* messenger.send(all[index]!)).state, "accepted", fault)
        }
        yield* until(() => heard.length >= 3)
        yield* Effect.sleep(200)
        assert.deepEqual(
          heard,
          all.slice(0, 3).map(({ id }) => `${id} delivered`)
        )
      }).pipe(Effect.scoped)
    )

    it.live("says_of_an_error_in_an_answer_of_200_that_it_is_one", () =>
      Effect.gen(function* () {
        const { messenger, provider } = yield* opened(kind)
        yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: ["error-body", "refused"] }))
        for (let n = 0; n < 2; n++) assert.strictEqual((yield* messenger.send(notice())).state, "refused")
      }).pipe(Effect.scoped)
    )

    it.live("knows_its_messages_after_a_restart", () =>
      Effect.gen(function* () {
        const { city, home, messenger, provider } = yield* opened(kind)
        const one = notice()
        yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: ["lost-after"] }))
        assert.strictEqual((yield* messenger.send(one)).state, "unknown")
        const again = yield* providerAt(kind, home, provider.port, city)
        yield* until(() => city.statuses.length > 0)
        assert.strictEqual((yield* again.send(one)).state, "accepted")
        assert.strictEqual((yield* keptAt(provider, one.to)).length, 1)
      }).pipe(Effect.scoped)
    )

    it.live("sends_nothing_twice_when_it_is_killed_between_sending_and_answer", () =>
      Effect.gen(function* () {
        const { city, provider } = yield* opened(kind)
        const home = yield* temporary
        const one = notice()
        yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: ["slow"] }))
        const script = fileURLToPath(new URL("../test/sender.ts", import.meta.url))
        const said = JSON.stringify(one)
        const { child } = yield* Effect.promise(() => spawned(script, kind, home, String(provider.port), said))
        yield* until(async () => (await Effect.runPromise(keptAt(provider, one.to))).length === 1)
        yield* Effect.promise(() => endOf(child, "SIGKILL"))
        const again = yield* providerAt(kind, home, provider.port, city)
        assert.strictEqual((yield* again.send(one)).state, "unknown")
        assert.strictEqual((yield* keptAt(provider, one.to)).length, 1)
      }).pipe(Effect.scoped)
    )

    it.live("says_who_is_not_let_in_and_what_is_not_there", () =>
      Effect.gen(function* () {
        const { city, provider } = yield* opened(kind)
        const one = notice()
        const wrong = yield* providerAt(kind, yield* temporary, provider.port, city, "wrong")
        assert.deepInclude(yield* Effect.flip(wrong.send(one)), { reason: "Unauthorized", retryable: false })
        const nobody = yield* providerAt(kind, yield* temporary, 9, city)
        assert.deepInclude(yield* Effect.flip(nobody.send(one)), { reason: "Unavailable", retryable: true })
        assert.strictEqual((yield* keptAt(provider, one.to)).length, 0)
      }).pipe(Effect.scoped)
    )

    for (const seed of [1, 2])
      it.live(`keeps_its_promises_through_faults_of_seed_${seed}`, () =>
        Effect.gen(function* () {
          const { heard, messenger, provider } = yield* opened(kind)
          const some = ["lost-before", "lost-after", "html", "error-body", "server-error", "refused", "rate-limited"]
          const more = ["unavailable", "expired-token", "early-receipt", "double-receipt", "out-of-order", "no-receipt"]
          const rates = Object.fromEntries([...some, ...more].map((name) => [name, 0.06]))
          yield* Effect.promise(() => provider.ask("PUT", "/faults", { rates, seed }))
          const all = Array.from({ length: 80 }, () => notice())
          const states = yield* Effect.forEach(
            all,
            (one) =>
              Effect.map(Effect.result(messenger.send(one)), (result) =>
                result._tag === "Success" ? result.success.state : "failed"
              ),
            { concurrency: 10 }
          )
          yield* Effect.sleep(500)
          for (const [index, one] of all.entries()) {
            const { length } = yield* keptAt(provider, one.to)
            const state = states[index]!
            if (state === "accepted") assert.strictEqual(length, 1)
            else if (state === "unknown") assert.isAtMost(length, 1)
            else assert.strictEqual(length, 0, state)
            assert.isAtMost(heard.filter((line) => line.startsWith(one.id)).length, length)
          }
          assert.includeMembers(states, ["accepted", "refused", "unknown", "failed"])
        }).pipe(Effect.scoped)
      )
  })
}

describe("Eskiz", () => {
  it.live("logs_in_once_and_again_when_the_token_has_run_out", () =>
    Effect.gen(function* () {
      const { messenger, provider } = yield* opened("eskiz")
      const logins = Effect.promise(() => provider.ask<number>("GET", "/logins"))
      const all = Array.from({ length: 10 }, () => notice())
      yield* Effect.all(
        all.map((one) => messenger.send(one)),
        { concurrency: 10 }
      )
      assert.strictEqual(yield* logins, 1)
      yield* Effect.promise(() => provider.ask("POST", "/expire"))
      const later = Array.from({ length: 10 }, () => notice())
      const outcomes = yield* Effect.all(
        later.map((one) => messenger.send(one)),
        { concurrency: 10 }
      )
      assert.ok(outcomes.every(({ state }) => state === "accepted"))
      assert.strictEqual(yield* logins, 2)
    }).pipe(Effect.scoped)
  )

  it.live("believes_no_callback_that_it_does_not_say_itself", () =>
    Effect.gen(function* () {
      const { city, heard, messenger, provider } = yield* opened("eskiz")
      yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: ["no-receipt", "no-receipt"] }))
      const [one, other] = [notice(), notice()]
      for (const each of [one, other]) yield* messenger.send(each)
      const [kept] = yield* keptAt(provider, one.to)
      const path = new URL((kept!.asked as { readonly callback_url: string }).callback_url).pathname.slice(
        "/callbacks".length
      )
      const hint = (fields: object, at = path) =>
        Effect.map(city.call({ path: at, body: Buffer.from(JSON.stringify(fields)) }), ({ status }) => status)
      const forged = { request_id: kept!.reference, user_sms_id: one.id, status: "DELIVRD" }
      // From somebody who does not know the address, and from somebody who does.
      assert.strictEqual(yield* hint(forged, "/guess"), 404)
      assert.strictEqual(yield* hint(forged), 200)
      // Another's message, one that nobody knows, and an id that leads elsewhere.
      assert.strictEqual(yield* hint({ ...forged, user_sms_id: other.id }), 200)
      assert.strictEqual(yield* hint({ ...forged, user_sms_id: randomUUID() }), 200)
      assert.strictEqual(yield* hint({ user_sms_id: one.id, request_id: "../../auth/user" }), 200)
      assert.strictEqual(yield* hint({ nothing: true }), 400)
      assert.deepEqual(heard, [])
      // It cannot be asked now: it shall tell again.
      yield* Effect.promise(() => provider.ask("PUT", "/silent", true))
      assert.strictEqual(yield* hint(forged), 503)
    }).pipe(Effect.scoped)
  )

  it.live("tells_what_a_message_has_cost_and_why_it_did_not_arrive", () =>
    Effect.gen(function* () {
      const { city, home, provider } = yield* opened("eskiz")
      const messenger = yield* providerAt("eskiz", `${home}/other`, provider.port, city)
      yield* Effect.promise(() => provider.ask("PUT", "/final", "UNDELIV"))
      const one = notice()
      const [receipt] = yield* Effect.all([nextReceipt(messenger), messenger.send(one)], { concurrency: 2 })
      assert.deepInclude(receipt, { id: one.id, state: "failed", code: "UNDELIV" })
      assert.deepEqual(receipt!.cost, { amount: 9_500n, currency: "UZS" })
    }).pipe(Effect.scoped)
  )
})

describe("PlayMobile", () => {
  it.live("is_told_until_when_a_message_is_good_and_how_urgent_it_is", () =>
    Effect.gen(function* () {
      const { messenger, provider } = yield* opened("playmobile")
      const one = notice({ class: "code", expiresAt: Date.UTC(2050, 0, 2, 3, 4, 59) })
      yield* messenger.send(one)
      const [kept] = yield* keptAt(provider, one.to)
      assert.deepInclude(kept!.asked as object, {
        priority: "realtime",
        timing: { "end-datetime": "2050-01-02 03:04" }
      })
    }).pipe(Effect.scoped)
  )

  it.live("believes_reports_from_who_knows_the_address_only", () =>
    Effect.gen(function* () {
      const { city, heard, messenger, provider } = yield* opened("playmobile")
      yield* Effect.promise(() => provider.ask("PUT", "/faults", { next: ["no-receipt"] }))
      const one = notice()
      yield* messenger.send(one)
      const body = Buffer.from(JSON.stringify({ "message-id": one.id, status: "NotDelivered" }))
      assert.strictEqual((yield* city.call({ path: `/${token}x`, body })).status, 404)
      assert.strictEqual((yield* city.call({ path: "", body })).status, 404)
      assert.strictEqual((yield* city.call({ path: `/${token}`, body: Buffer.from("<xml/>") })).status, 400)
      assert.deepEqual(heard, [])
      assert.strictEqual((yield* city.call({ path: `/${token}`, body })).status, 200)
      yield* until(() => heard.length === 1)
      assert.deepEqual(heard, [`${one.id} failed`])
    }).pipe(Effect.scoped)
  )
})
