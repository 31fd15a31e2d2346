/** The way to the centre and what may go wrong on it, against a simulated centre. */
import { randomUUID } from "node:crypto"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { secured } from "../test/secured.ts"
import { endOf, type Simulator, simulator, spawned, temporary } from "../test/simulator.ts"
import { hear, smppAt, until } from "../test/smpp.ts"
import { SmsSmppConfig } from "./config.ts"

const notice = (change: object = {}) => ({
  id: randomUUID(),
  to: `+99890${String(Math.random()).slice(2, 9).padEnd(7, "0")}`,
  text: "Your report was accepted.",
  language: "en",
  class: "notice" as const,
  ...change
})

const at = (centre: Simulator, method: string, path: string, body?: unknown) =>
  Effect.promise(() => centre.ask<never>(method, path, body))
const messages = (centre: Simulator, to: string) =>
  Effect.promise(() =>
    centre.ask<ReadonlyArray<{ readonly text: string; readonly parts: number; readonly validity: string }>>(
      "GET",
      `/messages?to=${to.slice(1)}`
    )
  )

const opened = (change?: Parameters<typeof smppAt>[2]) =>
  Effect.gen(function* () {
    const centre = yield* simulator("./smsc/main.ts")
    const home = yield* temporary
    const { health, messenger } = yield* smppAt(home, centre.port, change)
    return { centre, home, messenger, health, heard: yield* hear(messenger) }
  })

describe("the way to an SMS centre", () => {
  for (const notation of [
    ["hex", "dec"],
    ["dec", "hex"],
    ["hex", "hex"],
    ["dec", "dec"]
  ] as const)
    for (const form of ["text", "options"] as const)
      it.live(`finds_the_message_of_a_receipt_${notation.join("_in_")}_as_${form}`, () =>
        Effect.gen(function* () {
          const { centre, heard, messenger } = yield* opened()
          yield* at(centre, "PUT", "/manner", { notation, form })
          const all = Array.from({ length: 12 }, () => notice())
          for (const one of all) yield* messenger.send(one)
          yield* until(() => heard.length === all.length)
          assert.deepEqual(new Set(heard), new Set(all.map(({ id }) => `${id} delivered`)))
        }).pipe(Effect.scoped)
      )

  it.live("hears_receipts_that_come_before_the_answer_twice_or_never", () =>
    Effect.gen(function* () {
      const { centre, heard, messenger } = yield* opened()
      const [early, twice, never, plain] = [notice(), notice(), notice(), notice()]
      yield* at(centre, "PUT", "/faults", { next: ["early-receipt", "double-receipt", "no-receipt"] })
      for (const one of [early, twice, never, plain]) assert.strictEqual((yield* messenger.send(one)).state, "accepted")
      yield* until(() => heard.length >= 3)
      yield* Effect.sleep(200)
      assert.deepEqual(
        [...heard].sort((a, b) => a.localeCompare(b)),
        [early, twice, plain].map(({ id }) => `${id} delivered`).sort((a, b) => a.localeCompare(b))
      )
    }).pipe(Effect.scoped)
  )

  it.live("says_what_the_centre_says_of_a_message_that_did_not_arrive", () =>
    Effect.gen(function* () {
      const { centre, heard, messenger } = yield* opened()
      for (const [state, ending] of [
        ["EXPIRED", "expired"],
        ["UNDELIV", "failed"]
      ] as const) {
        yield* at(centre, "PUT", "/manner", { state })
        const one = notice({ text: "ў".repeat(200) })
        assert.deepInclude(yield* messenger.send(one), { state: "accepted", parts: 3 })
        yield* until(() => heard.includes(`${one.id} ${ending}`))
      }
    }).pipe(Effect.scoped)
  )

  it.live("sends_what_may_have_been_taken_never_again", () =>
    Effect.gen(function* () {
      const { centre, heard, messenger } = yield* opened({ patience: 1 })
      for (const [fault, taken] of [
        ["lost-before", 0],
        ["lost-after", 1],
        ["silent", 1],
        ["slow", 1]
      ] as const) {
        const one = notice()
        yield* at(centre, "PUT", "/faults", { next: [fault] })
        assert.strictEqual((yield* messenger.send(one)).state, "unknown", fault)
        assert.strictEqual((yield* messenger.send(one)).state, "unknown", fault)
        assert.strictEqual((yield* messages(centre, one.to)).length, taken, fault)
      }
      // The connection is a new one by now, and works.
      const last = notice()
      assert.strictEqual((yield* messenger.send(last)).state, "accepted")
      yield* until(() => heard.includes(`${last.id} delivered`))
    }).pipe(Effect.scoped)
  )

  it.live("leaves_a_centre_alone_that_is_full_and_finishes_a_message_that_it_has_begun", () =>
    Effect.gen(function* () {
      const { centre, messenger } = yield* opened()
      const one = notice()
      yield* at(centre, "PUT", "/faults", { next: ["queue-full"] })
      assert.deepInclude(yield* Effect.flip(messenger.send(one)), { reason: "RateLimited", retryable: true })
      const begun = performance.now()
      assert.strictEqual((yield* messenger.send(one)).state, "accepted")
      assert.isAbove(performance.now() - begun, 300)

      const long = notice({ text: "x".repeat(400) })
      yield* at(centre, "PUT", "/faults", { next: ["none", "rate-limited", "queue-full"] })
      const outcome = yield* messenger.send(long)
      assert.deepInclude(outcome, { state: "accepted", parts: 3 })
      assert.deepInclude((yield* messages(centre, long.to))[0], { text: long.text, parts: 3 })
    }).pipe(Effect.scoped)
  )

  it.live("notices_a_link_that_died_in_silence_and_comes_back", () =>
    Effect.gen(function* () {
      const { centre, health, messenger } = yield* opened({ pulse: 1, patience: 1 })
      yield* messenger.send(notice())
      assert.strictEqual(health().status, "up")
      yield* at(centre, "PUT", "/frozen", true)
      yield* until(() => health().status === "down")
      yield* at(centre, "PUT", "/frozen", false)
      yield* until(() => health().status === "up")
      assert.strictEqual((yield* messenger.send(notice())).state, "accepted")
      // Without anything to say the link is kept.
      yield* Effect.sleep(2_500)
      assert.strictEqual(health().status, "up")
      yield* at(centre, "POST", "/cut")
      assert.strictEqual((yield* messenger.send(notice())).state, "accepted")
    }).pipe(Effect.scoped)
  )

  it.live("says_who_is_not_let_in_and_what_is_not_there", () =>
    Effect.gen(function* () {
      const { centre } = yield* opened()
      const wrong = yield* smppAt(yield* temporary, centre.port, { password: Redacted.make("wrong") })
      const one = notice()
      const error = yield* Effect.flip(wrong.messenger.send(one))
      assert.deepInclude(error, { reason: "Unauthorized", retryable: false })
      assert.notInclude(`${error.message} ${error.subject}`, one.to)
      const nobody = yield* smppAt(yield* temporary, 9)
      assert.deepInclude(yield* Effect.flip(nobody.messenger.send(one)), { reason: "Unavailable", retryable: true })
    }).pipe(Effect.scoped)
  )

  it.live("sends_and_hears_on_separate_connections", () =>
    Effect.gen(function* () {
      const { centre, heard, messenger } = yield* opened({ bind: "separate" })
      yield* until(async () => (await centre.ask<ReadonlyArray<string>>("GET", "/bound")).length === 2)
      const one = notice()
      assert.strictEqual((yield* messenger.send(one)).state, "accepted")
      yield* until(() => heard.includes(`${one.id} delivered`))
    }).pipe(Effect.scoped)
  )

  it.live("speaks_TLS_with_a_centre_whose_certificate_it_can_check_and_with_no_other", () =>
    Effect.gen(function* () {
      const centre = yield* simulator("./smsc/main.ts")
      const { authority, port } = yield* secured(centre.port)
      const trusting = yield* smppAt(yield* temporary, port, { tls: true, authority })
      assert.strictEqual((yield* trusting.messenger.send(notice())).state, "accepted")
      const strict = yield* smppAt(yield* temporary, port, { tls: true })
      assert.strictEqual((yield* Effect.flip(strict.messenger.send(notice()))).reason, "Unavailable")
      assert.strictEqual(yield* at(centre, "GET", "/count"), 1)
    }).pipe(Effect.scoped)
  )

  it.live("tells_the_centre_until_when_a_message_is_good", () =>
    Effect.gen(function* () {
      const { centre, messenger } = yield* opened()
      const one = notice({ class: "code", text: "Code 104729", expiresAt: Date.UTC(2050, 0, 2, 3, 4, 5, 678) })
      yield* messenger.send(one)
      assert.strictEqual((yield* messages(centre, one.to))[0]!.validity, "500102030405000+")
      const code = notice({ class: "code", text: "Code 104729" })
      yield* messenger.send(code)
      assert.match((yield* messages(centre, code.to))[0]!.validity, /^\d{12}000\+$/)
      const open = notice()
      yield* messenger.send(open)
      assert.strictEqual((yield* messages(centre, open.to))[0]!.validity, "")
    }).pipe(Effect.scoped)
  )

  it.live("refuses_a_number_that_is_not_E_164", () =>
    Effect.gen(function* () {
      const { centre, messenger } = yield* opened()
      for (const to of ["901234567", "998901234567", "+998 90 123 45 67", "+0123456789", "+1234567890123456", "city"])
        assert.strictEqual((yield* Effect.flip(messenger.send(notice({ to })))).reason, "InvalidRequest", to)
      assert.strictEqual(yield* at(centre, "GET", "/count"), 0)
    }).pipe(Effect.scoped)
  )

  it.live("sends_nothing_twice_when_it_is_killed_between_sending_and_answer", () =>
    Effect.gen(function* () {
      const centre = yield* simulator("./smsc/main.ts")
      const home = yield* temporary
      const one = notice()
      yield* at(centre, "PUT", "/faults", { next: ["silent"] })
      const script = fileURLToPath(new URL("../test/sender.ts", import.meta.url))
      const { child } = yield* Effect.promise(() =>
        spawned(script, "smpp", home, String(centre.port), JSON.stringify(one))
      )
      yield* until(async () => (await centre.ask<number>("GET", "/count")) === 1)
      yield* Effect.promise(() => endOf(child, "SIGKILL"))
      const { messenger } = yield* smppAt(home, centre.port)
      assert.strictEqual((yield* messenger.send(one)).state, "unknown")
      assert.strictEqual((yield* messages(centre, one.to)).length, 1)
      assert.strictEqual((yield* Effect.flip(messenger.send({ ...one, text: "Else" }))).reason, "InvalidRequest")
    }).pipe(Effect.scoped)
  )

  for (const seed of [1, 2, 3])
    it.live(`keeps_its_promises_through_faults_of_seed_${seed}`, () =>
      Effect.gen(function* () {
        const { centre, heard, messenger } = yield* opened({ patience: 1 })
        const rates = {
          "lost-before": 0.03,
          "lost-after": 0.03,
          silent: 0.03,
          refused: 0.1,
          "rate-limited": 0.03,
          unavailable: 0.05
        }
        yield* at(centre, "PUT", "/faults", { rates: { ...rates, "early-receipt": 0.2, "double-receipt": 0.2 }, seed })
        const all = Array.from({ length: 60 }, (_, index) => notice({ to: `+9989000${seed}${10_000 + index}` }))
        const states = yield* Effect.forEach(
          all,
          (one) =>
            Effect.map(Effect.result(messenger.send(one)), (result) =>
              result._tag === "Success" ? result.success.state : "failed"
            ),
          { concurrency: 20 }
        )
        yield* Effect.sleep(500)
        for (const [index, one] of all.entries()) {
          const { length } = yield* messages(centre, one.to)
          const state = states[index]!
          if (state === "accepted") assert.strictEqual(length, 1)
          else if (state === "unknown") assert.isAtMost(length, 1)
          else assert.strictEqual(length, 0, state)
          assert.isAtMost(heard.filter((line) => line.startsWith(one.id)).length, 1)
        }
        // Which of them depends on who was under way when a connection broke.
        assert.includeMembers(states, ["accepted"])
        assert.isAbove(new Set(states).size, 2)
      }).pipe(Effect.scoped)
    )
})

describe("settings", () => {
  it("that_cannot_work_are_refused", () => {
    const decode = Schema.decodeUnknownExit(SmsSmppConfig)
    const good = { host: "smsc.example", systemId: "city", password: "secret", from: "Mahalla" }
    assert.strictEqual(decode(good)._tag, "Success")
    for (const wrong of [{ window: 11 }, { from: "A name too long" }, { systemId: "" }, { port: 0 }, { bind: "both" }])
      assert.strictEqual(decode({ ...good, ...wrong })._tag, "Failure", JSON.stringify(wrong))
  })
})
