/**
 * Kannel, an SMS gateway that others wrote, on the phones' side of the centre: it takes what we sent, puts the parts together, and its
 * answers are what is reported to us.
 */
import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { kannel } from "../../../../../scripts/services/kannel.ts"
import { simulator, temporary } from "../test/simulator.ts"
import { hear, smppAt, until } from "../test/smpp.ts"

const notice = (text: string, to = "+998901234567") => ({
  id: randomUUID(),
  to,
  text,
  language: "uz",
  class: "notice" as const
})

const long = `Сизнинг мурожаатингиз қабул қилинди. ${"Навбатдаги хабар: \u{1F6B0}. ".repeat(12)}`
const plain = `Murojaatingiz qabul qilindi [1/2] {a} ~ ^ \\ | € ${"12-uy, Qo'qon shahri. ".repeat(10)}`

describe("kannel", () => {
  it.live("takes_and_reports_messages_through_a_restart_of_either_side", () =>
    Effect.gen(function* () {
      const centre = yield* simulator("./smsc/main.ts")
      yield* Effect.promise(() => centre.ask("PUT", "/manner", { after: null }))
      const phones = yield* kannel(centre.port, "phones", "secret")
      const home = yield* temporary
      const life = yield* Scope.make()
      const before = yield* Scope.provide(smppAt(home, centre.port), life)
      yield* until(async () => (await centre.ask<ReadonlyArray<string>>("GET", "/bound")).length === 2)

      const heard = yield* hear(before.messenger)
      const [first, second] = [notice(long), notice(plain)]
      for (const one of [first, second]) assert.strictEqual((yield* before.messenger.send(one)).state, "accepted")
      yield* until(() => phones.taken.length === 2 && heard.length === 2)
      assert.deepEqual(
        phones.taken.map(({ text }) => text),
        [long, plain]
      )
      assert.deepEqual(heard, [`${first.id} delivered`, `${second.id} delivered`])

      // Kannel dies; what is sent meanwhile reaches it when it is back.
      yield* phones.stop("SIGKILL")
      const third = notice("While Kannel was away")
      assert.strictEqual((yield* before.messenger.send(third)).state, "accepted")
      // And our side closes before anything is reported.
      yield* Scope.close(life, Exit.void)
      yield* phones.start
      yield* until(() => phones.taken.length === 3)
      const after = yield* smppAt(home, centre.port)
      const again = yield* hear(after.messenger)
      yield* until(() => again.includes(`${third.id} delivered`))
      // A repeat after all that is not sent again.
      assert.deepInclude(yield* after.messenger.send(first), { state: "accepted", parts: 5 })

      // The centre itself is killed and started again.
      yield* Effect.promise(() => centre.restart("SIGKILL"))
      yield* Effect.promise(() => centre.ask("PUT", "/manner", { after: null }))
      const fourth = notice("After the centre was killed")
      assert.strictEqual((yield* after.messenger.send(fourth)).state, "accepted")
      yield* until(() => phones.taken.length === 4 && again.includes(`${fourth.id} delivered`))
      assert.deepEqual(
        phones.taken.slice(2).map(({ text }) => text),
        [third.text, fourth.text]
      )
    }).pipe(Effect.scoped)
  )

  it.live("is_content_with_the_simulated_centre_as_a_sender_too", () =>
    Effect.gen(function* () {
      const centre = yield* simulator("./smsc/main.ts")
      const sender = yield* kannel(centre.port, "elsewhere", "secret")
      yield* until(async () => (await centre.ask<ReadonlyArray<string>>("GET", "/bound")).includes("elsewhere"))
      assert.match(yield* sender.send("City", "+998901112233", "Salom"), /Accepted/)
      yield* until(() => sender.reports.length === 1)
      assert.deepEqual(sender.reports, ["/report?state=1"])
      const messages = yield* Effect.promise(() =>
        centre.ask<ReadonlyArray<object>>("GET", "/messages?to=998901112233")
      )
      assert.deepInclude(messages[0], { text: "Salom", parts: 1 })
    }).pipe(Effect.scoped)
  )
})
