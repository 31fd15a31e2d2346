import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import fc from "fast-check"
import { inject } from "vitest"
import { atNoon, choices, newsCity, newsRoom, noon, type Room } from "../../test/newsRoom.ts"
import { sendDigests } from "./digests.ts"
import { putPreferences, switchOff } from "./preferences.ts"

const hour = 3_600_000
/** 18:00 in Tashkent. */
const evening = noon + 7 * hour

const start = Effect.gen(function* () {
  const city = yield* newsCity()
  const me = yield* city.person()
  const choose = (given: Partial<Parameters<typeof putPreferences>[1]>) =>
    city.inside(putPreferences(me.id, { ...choices, ...given }))
  return { ...city, me, choose, tell: Effect.andThen(city.report(me), city.hear) }
})

/** Every piece of news was told once when everything is over. */
const sums = (steps: ReadonlyArray<string>) =>
  atNoon(
    Effect.gen(function* () {
      const { choose, hear, me, messages, report, rows, tenantId } = yield* start
      let now = noon
      let told = 0
      yield* choose({ digest: "daily" })
      for (const step of steps) {
        if (step === "news") {
          yield* report(me)
          told++
        }
        if (step === "hear") yield* hear
        if (step === "hours") yield* TestClock.setTime((now += 9 * hour))
        if (step === "send") yield* sendDigests
        if (step === "send twice") yield* Effect.all([sendDigests, sendDigests], { concurrency: 2 })
        if (step === "daily" || step === "weekly") yield* choose({ digest: step })
        if (step === "at once") yield* choose({})
      }
      yield* hear
      yield* TestClock.setTime(now + 8 * 24 * hour)
      yield* sendDigests
      const lines = (yield* messages).flatMap(({ source, text }) =>
        source === "digest" ? text.split("\n").slice(1) : [text]
      )
      assert.lengthOf(lines, told)
      const counted = (yield* messages)
        .filter(({ source }) => source === "digest")
        .map(({ text }) => [
          /: (one|\d+) piece/.exec(text)?.[1]?.replace("one", "1"),
          String(text.split("\n").length - 1)
        ])
      for (const [said, there] of counted) assert.strictEqual(said, there)
      const left = yield* rows(
        ({ sql }) => sql`
          select 1 as one from mahalla.digest_item where tenant_id = ${tenantId} and digest_id is null
          union all select 1 from mahalla.digest_due where tenant_id = ${tenantId}`
      )
      assert.lengthOf(left, 0)
    })
  )

layer(newsRoom(inject("postgresUrl")), { excludeTestServices: true })("a digest", (it) => {
  it.effect("comes_at_its_readers_hour_with_all_the_news_there_is_and_not_again", () =>
    atNoon(
      Effect.gen(function* () {
        const { choose, me, messages, tell, workOff } = yield* start
        yield* choose({ digest: "daily" })
        yield* tell
        yield* tell
        yield* TestClock.setTime(evening - 1)
        yield* sendDigests
        assert.lengthOf(yield* messages, 0)
        yield* TestClock.setTime(evening)
        yield* sendDigests
        yield* sendDigests
        yield* workOff
        const [digest, ...others] = yield* messages
        assert.deepStrictEqual(others, [])
        assert.deepInclude(digest, {
          ...{ who: me.id, source: "digest", state: "accepted" },
          text: "Samarkand: 2 pieces of news.\nPothole A1: received.\nPothole A1: received."
        })
        yield* TestClock.setTime(evening + 24 * hour)
        yield* sendDigests
        assert.lengthOf(yield* messages, 1)
      })
    )
  )

  it.effect("moves_with_the_hour_and_comes_at_once_where_there_are_to_be_none", () =>
    atNoon(
      Effect.gen(function* () {
        const { choose, messages, tell } = yield* start
        yield* choose({ digest: "weekly", digestDay: 1 })
        yield* tell
        yield* choose({ digest: "daily", digestHour: 12 })
        yield* TestClock.setTime(noon + hour)
        yield* sendDigests
        assert.lengthOf(yield* messages, 1)
        yield* choose({ digest: "weekly" })
        yield* tell
        yield* choose({})
        yield* sendDigests
        assert.lengthOf(yield* messages, 2)
        yield* tell
        assert.deepStrictEqual(
          (yield* messages).map(({ source }) => source),
          ["digest", "digest", "event"]
        )
      })
    )
  )

  it.effect("has_nothing_of_what_was_switched_off_meanwhile", () =>
    atNoon(
      Effect.gen(function* () {
        const { choose, inside, me, messages, tell } = yield* start
        yield* choose({ digest: "daily" })
        yield* tell
        yield* inside(switchOff(me.id, "cases"))
        yield* TestClock.setTime(evening)
        yield* sendDigests
        assert.lengthOf(yield* messages, 0)
      })
    )
  )

  it.effect("is_the_sum_of_its_events_whatever_happens_in_whatever_order", () =>
    Effect.gen(function* () {
      const run = Effect.runPromiseWith(yield* Effect.context<Room>())
      const steps = fc.constantFrom("news", "hear", "hours", "send", "send twice", "daily", "weekly", "at once")
      const property = fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 25 }), (given) => run(sums(given)))
      yield* Effect.promise(() => fc.assert(property, { numRuns: 12 }))
    })
  )
})
