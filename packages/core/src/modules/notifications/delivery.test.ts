import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { MessengerError } from "../../ports/Messenger.ts"
import { Messengers } from "../../kernel/ports.ts"
import { inTransactionOf, PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { atNoon, choices, Lines, newsCity, newsRoom, noon } from "../../test/newsRoom.ts"
import { addressesOf, keepAddress } from "./addresses.ts"
import { choicesOfPerson, messagesOfPerson } from "./people.ts"
import { putPreferences } from "./preferences.ts"
import { hearReceipts } from "./receipts.ts"
import { applyReceipt } from "./settle.ts"
import { totalsBetween } from "./totals.ts"

const start = Effect.gen(function* () {
  const city = yield* newsCity()
  const me = yield* city.person()
  const { sms } = yield* Lines
  const tell = Effect.andThen(city.report(me), city.hear)
  const last = Effect.map(city.messages, (all) => all.at(-1)!)
  const tries = Effect.flatMap(last, ({ id }) =>
    city.rows<{ state: string; code: string | null; detail: string | null }>(
      ({ sql }) =>
        sql`select state, code, detail from mahalla.message_attempt where message_id = ${id} order by attempt`
    )
  )
  return { ...city, me, sms, tell, last, tries }
})

layer(newsRoom(inject("postgresUrl")), { excludeTestServices: true })("a message", (it) => {
  it.effect("is_tried_again_while_the_channel_is_away_and_each_try_is_kept", () =>
    atNoon(
      Effect.gen(function* () {
        const { last, me, sms, tell, tries, work, workOff } = yield* start
        yield* sms.control.next("unavailable")
        yield* sms.control.next("rate-limited")
        yield* tell
        yield* work
        yield* work
        assert.deepInclude(yield* last, { state: "queued", attempts: 2 })
        yield* workOff
        assert.deepInclude(yield* last, { state: "accepted", attempts: 3 })
        assert.deepStrictEqual(
          (yield* tries).map(({ code, state }) => [state, code]),
          [
            ["error", "Unavailable"],
            ["error", "RateLimited"],
            ["accepted", null]
          ]
        )
        assert.lengthOf(yield* sms.control.delivered(me.phone), 1)
      })
    )
  )

  it.effect("is_asked_again_under_its_id_when_the_answer_was_lost_and_arrives_once", () =>
    atNoon(
      Effect.gen(function* () {
        const { last, me, sms, tell, tries, work, workOff } = yield* start
        yield* sms.control.next("lost-after")
        yield* tell
        yield* work
        assert.deepInclude(yield* last, { state: "unknown", attempts: 1 })
        yield* workOff
        assert.deepInclude(yield* last, { state: "accepted", attempts: 2 })
        assert.lengthOf(yield* sms.control.delivered(me.phone), 1)
        assert.deepStrictEqual(
          (yield* tries).map(({ state }) => state),
          ["unknown", "accepted"]
        )
        // Not for ever.
        for (let place = 0; place < 5; place++) yield* sms.control.next("lost-before")
        yield* tell
        yield* workOff
        assert.deepInclude(yield* last, { state: "unknown", attempts: 5 })
      })
    )
  )

  it.effect("fails_for_good_when_the_last_try_has", () =>
    atNoon(
      Effect.gen(function* () {
        const { last, sms, tell, workOff } = yield* start
        for (let place = 0; place < 12; place++) yield* sms.control.next("unavailable")
        yield* tell
        yield* workOff
        assert.deepInclude(yield* last, { state: "failed", attempts: 12 })
        yield* sms.control.next("refused")
        yield* tell
        yield* workOff
        assert.deepInclude(yield* last, { state: "refused", attempts: 1, detail: "The recipient is blocked." })
      })
    )
  )

  it.effect("is_not_sent_when_it_is_no_news_any_more", () =>
    atNoon(
      Effect.gen(function* () {
        const { last, me, sms, tell, workOff } = yield* start
        yield* tell
        yield* TestClock.setTime(noon + 4_320 * 60_000)
        yield* workOff
        assert.deepInclude(yield* last, { state: "expired", attempts: 0 })
        assert.lengthOf(yield* sms.control.delivered(me.phone), 0)
      })
    )
  )

  it.effect("is_what_its_receipts_say_whenever_and_however_often_they_come", () =>
    atNoon(
      Effect.gen(function* () {
        const { inside, last, sms, tell, work, workOff } = yield* start
        const state = Effect.map(last, (message) => message.state)
        const hears = yield* Effect.forkChild(hearReceipts)
        const receipt = (given: "delivered" | "failed" | "expired", cost?: bigint) =>
          Effect.flatMap(last, ({ id }) =>
            applyReceipt({
              id,
              state: given,
              at: noon,
              ...(cost === undefined ? {} : { cost: { amount: cost, currency: "UZS" } })
            })
          )
        // Before the answer.
        yield* tell
        yield* receipt("delivered", 9_500n)
        yield* workOff
        assert.strictEqual(yield* state, "delivered")
        // Twice, and then another one.
        yield* tell
        yield* workOff
        yield* receipt("delivered", 9_500n)
        yield* receipt("delivered", 9_500n)
        yield* receipt("failed")
        assert.strictEqual(yield* state, "delivered")
        // The phone was away and came back.
        yield* tell
        yield* workOff
        yield* receipt("failed")
        assert.strictEqual(yield* state, "failed")
        yield* receipt("delivered")
        assert.strictEqual(yield* state, "delivered")
        // While the answer is unknown.
        yield* sms.control.next("lost-after")
        yield* tell
        yield* work
        yield* receipt("delivered")
        yield* workOff
        assert.deepInclude(yield* last, { state: "delivered", attempts: 1 })
        // Of what is nobody's.
        yield* applyReceipt({ id: "01a1fb96-0a6f-7324-b14e-40eab5e1b1ff", state: "failed", at: noon })
        // Through the channel's own stream.
        yield* tell
        yield* workOff
        sms.receipt({ id: (yield* last).id, state: "delivered", at: noon })
        for (let turn = 0; turn < 200 && (yield* state) !== "delivered"; turn++)
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
        assert.strictEqual(yield* state, "delivered")
        yield* Fiber.interrupt(hears)
        const totals = yield* inside(totalsBetween("2026-03-20", "2026-03-20"))
        const sum = (of: (row: (typeof totals)[number]) => number) => totals.reduce((all, row) => all + of(row), 0)
        assert.deepStrictEqual(
          [
            sum(({ handed }) => handed),
            sum(({ delivered }) => delivered),
            sum(({ failed }) => failed),
            sum(({ cost }) => Number(cost))
          ],
          [5, 5, 1, 19_000]
        )
      })
    )
  )

  it.effect("goes_to_nobody_who_is_gone_and_forgets_an_address_that_is", () =>
    atNoon(
      Effect.gen(function* () {
        const { inside, last, me, tell, workOff } = yield* start
        yield* inside(keepAddress({ personId: me.id, kind: "push", channel: null, address: "a phone", verified: true }))
        yield* inside(putPreferences(me.id, { ...choices, categories: { cases: { channels: ["push", "sms"] } } }))
        yield* tell
        const all = yield* Messengers
        const away = new Map(all).set("push", {
          ...all.get("push")!,
          send: () => Effect.succeed({ state: "refused", code: "410", message: "Unregistered.", gone: true } as const)
        })
        yield* Effect.provideService(workOff, Messengers, away)
        assert.deepInclude(yield* last, { channel: "push", state: "refused" })
        assert.lengthOf(yield* inside(addressesOf(me.id, "push")), 0)
        yield* tell
        yield* workOff
        assert.deepInclude(yield* last, { channel: "sms", state: "accepted" })
      })
    )
  )

  it.effect("tells_a_log_no_phone_that_a_channel_repeats", () =>
    atNoon(
      Effect.gen(function* () {
        const { last, me, tell, tries, work } = yield* start
        yield* tell
        const all = yield* Messengers
        const leaky = new Map(all).set("sms", {
          ...all.get("sms")!,
          send: () =>
            Effect.fail(
              new MessengerError({
                ...{ reason: "Unavailable", operation: "send", subject: "x", retryable: true },
                message: `No route to ${me.phone}; try later.`
              })
            )
        })
        yield* Effect.provideService(work, Messengers, leaky)
        assert.notInclude(JSON.stringify([yield* tries, yield* last]), me.phone.slice(1, 9))
      })
    )
  )

  it.effect("is_a_part_of_a_person_and_goes_with_them", () =>
    atNoon(
      Effect.gen(function* () {
        const { inside, me, messages, rows, tell, workOff } = yield* start
        yield* inside(
          keepAddress({ personId: me.id, kind: "email", channel: null, address: "me@example.org", verified: true })
        )
        yield* inside(putPreferences(me.id, { ...choices, digest: "daily" }))
        yield* tell
        yield* inside(putPreferences(me.id, choices))
        yield* tell
        yield* workOff
        const copy = JSON.stringify(
          yield* inside(Effect.all([messagesOfPerson.collect(me.id), choicesOfPerson.collect(me.id)]))
        )
        assert.include(copy, "me@example.org")
        assert.include(copy, "received")
        yield* withPlatform(
          Effect.flatMap(PlatformTx, ({ sql }) =>
            inTransactionOf(
              me.tenantId,
              sql,
              Effect.andThen(messagesOfPerson.erase(me.id), choicesOfPerson.erase(me.id))
            )
          )
        )
        assert.lengthOf(yield* messages, 0)
        const left = yield* rows(
          ({ sql, tenantId }) => sql`
            select 1 as one from mahalla.notification_address where tenant_id = ${tenantId}
            union all select 1 from mahalla.notification_preference where tenant_id = ${tenantId}
            union all select 1 from mahalla.digest_item where tenant_id = ${tenantId}
            union all select 1 from mahalla.digest_due where tenant_id = ${tenantId}
            union all select 1 from mahalla.message_attempt where tenant_id = ${tenantId}`
        )
        assert.lengthOf(left, 0)
      })
    )
  )
})
