import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { as, eventsOf } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, pump, watchedCity } from "../../test/controlRooms.ts"
import { clearCalm } from "./calm.ts"
import { listAlerts } from "./lists.ts"
import { applyAlertEffects, clearAlert, raiseAlert, updateAlert } from "./raise.ts"
import { createWindow } from "./windows.ts"

const { key } = lowPressure
const minute = 60_000

/** A pump whose pressure goes up and down: episode n begins at minute n and ends half a minute later. */
const start = Effect.gen(function* () {
  const city = yield* watchedCity
  const at = (episode: number) => friday + episode * minute
  const begin = (episode: number, more: object = {}) =>
    city.inside(raiseAlert({ ...lowPressure, ...more, episode: String(episode), at: at(episode) }))
  const end = (episode: number, more: object = {}) =>
    city.inside(clearAlert({ key, episode: String(episode), at: at(episode) + minute / 2, ...more }))
  const swing = (episode: number) =>
    Effect.andThen(
      begin(episode),
      Effect.map(end(episode), ({ outcome }) => outcome)
    )
  const shown = Effect.map(city.alerts, (alerts) =>
    alerts.map(({ active, times }) => `${active ? "active" : "cleared"} ${times}`)
  )
  const swings = (...episodes: ReadonlyArray<number>) => Effect.forEach(episodes, swing)
  return { ...city, at, begin, end, swings, shown }
})

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("an alert that comes and goes", (it) => {
  it.effect("is_marked_the_fifth_time_in_an_hour_and_stays_active_until_it_has_been_calm", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, at, hearers, operator, shown, swings, tenantId } = yield* start
        assert.deepStrictEqual(yield* swings(1, 2, 3, 4, 5, 6, 7, 8), [
          ...["cleared", "cleared", "cleared", "cleared"],
          ...["held", "held", "held", "held"]
        ])
        assert.deepStrictEqual(yield* shown, ["cleared 1", "cleared 1", "cleared 1", "cleared 1", "active 4"])
        const guarded = (yield* alerts)[4]!
        assert.deepInclude(guarded.data, { flapping: true, status: "ACTIVE_UNACK" })
        // It was told of once, and nothing of its case has changed since.
        assert.deepStrictEqual(yield* hearers(guarded.id), [operator.id])
        assert.isEmpty(yield* eventsOf(tenantId, guarded.id))
        const { items } = yield* as(operator)(listAlerts({ active: true }, {}))
        assert.deepStrictEqual(
          items.map(({ quietSince }) => quietSince?.getTime()),
          [at(8) + minute / 2]
        )

        yield* TestClock.setTime(at(23))
        yield* clearCalm
        assert.strictEqual((yield* alerts)[4]!.active, true)
        yield* TestClock.setTime(at(24))
        yield* Effect.all([clearCalm, clearCalm, clearCalm], { concurrency: 3 })
        const calm = (yield* alerts)[4]!
        assert.deepInclude(calm, { active: false, times: 4 })
        assert.deepInclude(calm.data, {
          status: "CLEARED_UNACK",
          clearedAt: new Date(at(8) + minute / 2).toISOString()
        })
        assert.strictEqual((yield* eventsOf(tenantId, guarded.id)).length, 1)
      })
    )
  )

  it.effect("is_none_where_a_day_comes_late_and_all_at_once", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, swings } = yield* start
        const hourly = [0, 20, 40, 60, 80, 100, 120]
        assert.deepStrictEqual([...new Set(yield* swings(...hourly))], ["cleared"])
        assert.isTrue((yield* alerts).every(({ data }) => data["flapping"] === undefined))
      })
    )
  )

  it.effect("begins_to_be_calm_anew_with_every_return", () =>
    onFriday(
      Effect.gen(function* () {
        const { at, begin, end, inside, shown, swings } = yield* start
        yield* swings(1, 2, 3, 4, 5)
        assert.strictEqual((yield* begin(19)).outcome, "active")
        yield* TestClock.setTime(at(25))
        yield* clearCalm
        assert.strictEqual((yield* shown)[4], "active 2")
        assert.strictEqual((yield* end(26)).outcome, "ignored")
        assert.strictEqual((yield* end(19)).outcome, "held")
        // What is said of it while its condition does not hold is late.
        const late = updateAlert({ key, episode: "19", at: at(19), severity: "critical" })
        assert.strictEqual((yield* inside(late)).outcome, "ignored")
        yield* TestClock.setTime(at(35))
        yield* clearCalm
        assert.strictEqual((yield* shown)[4], "cleared 2")
      })
    )
  )

  it.effect("is_not_cleared_by_a_turn_that_a_return_comes_before", () =>
    onFriday(
      Effect.gen(function* () {
        const { at, inside, shown, swings } = yield* start
        yield* swings(1, 2, 3, 4, 5)
        yield* TestClock.setTime(at(30))
        // Another rule's alert, which is calm.
        const quiet = [1, 2, 3, 4, 5].flatMap((n) => {
          const of = { key: { ...key, rule: "other" }, episode: String(n), at: at(n) }
          return [{ kind: "raise", ...lowPressure, ...of } as const, { kind: "clear", ...of } as const]
        })
        yield* inside(applyAlertEffects(quiet))
        const [raised, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const back = raiseAlert({ ...lowPressure, episode: "19", at: at(19) })
        const slow = Effect.andThen(Effect.andThen(back, Deferred.succeed(raised, undefined)), Deferred.await(go))
        const raising = yield* Effect.forkChild(inside(slow))
        yield* Deferred.await(raised)
        // It has read that the alert is due, and waits for the row.
        const turn = yield* Effect.forkChild(clearCalm)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 500)))
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(raising)
        yield* Fiber.join(turn)
        const all = yield* shown
        assert.deepStrictEqual([all[4], all[9]], ["active 2", "cleared 1"])
      })
    )
  )

  it.effect("is_over_at_its_next_return_where_nobody_has_looked_for_a_while", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, at, begin, shown, swings } = yield* start
        yield* swings(1, 2, 3, 4, 5)
        yield* TestClock.setTime(at(90))
        assert.strictEqual((yield* begin(90)).outcome, "raised")
        assert.deepStrictEqual((yield* shown).slice(4), ["cleared 1", "active 1"])
        const [, , , , before, after] = yield* alerts
        assert.strictEqual(before!.data["clearedAt"], new Date(at(5) + minute / 2).toISOString())
        assert.isUndefined(after!.data["flapping"])
      })
    )
  )

  it.effect("is_the_same_when_all_of_it_comes_in_one_batch", () =>
    onFriday(
      Effect.gen(function* () {
        const { at, inside, shown } = yield* start
        const effects = [1, 2, 3, 4, 5, 6].flatMap((n) => {
          const of = { key, episode: String(n) }
          return [
            { kind: "raise", ...lowPressure, ...of, at: at(n) },
            { kind: "clear", ...of, at: at(n) + minute / 2 }
          ] as const
        })
        const outcomes = yield* inside(applyAlertEffects(effects))
        assert.deepStrictEqual(
          outcomes.filter((_, place) => place % 2 === 1).map(({ outcome }) => outcome),
          ["cleared", "cleared", "cleared", "cleared", "held", "held"]
        )
        assert.deepStrictEqual(yield* shown, ["cleared 1", "cleared 1", "cleared 1", "cleared 1", "active 2"])
      })
    )
  )

  it.effect("waits_as_long_as_the_city_says_and_not_at_all_where_it_says_so", () =>
    onFriday(
      Effect.gen(function* () {
        const minutes = (tenantId: string, amount: number) =>
          withPlatform(
            Effect.flatMap(
              PlatformTx,
              ({ sql }) => sql`
                update mahalla.tenant set settings = settings || jsonb_build_object('alertCalmMinutes', ${amount}::int)
                where tenant_id = ${tenantId}`
            )
          )
        const short = yield* start
        yield* minutes(short.tenantId, 2)
        yield* short.swings(1, 2, 3, 4, 5)
        yield* TestClock.setTime(short.at(8))
        yield* clearCalm
        assert.strictEqual((yield* short.shown)[4], "cleared 1")
        const none = yield* start
        yield* minutes(none.tenantId, 0)
        assert.deepStrictEqual((yield* none.swings(1, 2, 3, 4, 5, 6)).slice(4), ["cleared", "cleared"])
        assert.strictEqual((yield* none.alerts)[5]!.data["flapping"], true)
      })
    )
  )

  it.effect("is_cleared_at_once_by_hand_by_a_rule_that_waits_itself_and_when_its_device_is_gone", () =>
    onFriday(
      Effect.gen(function* () {
        const byHand = yield* start
        yield* byHand.swings(1, 2, 3, 4, 5)
        const id = (yield* byHand.alerts)[4]!.id
        assert.strictEqual(yield* byHand.take("clear", id, { reason: "The valve is open" }), "ok")
        assert.strictEqual((yield* byHand.shown)[4], "cleared 1")
        yield* TestClock.setTime(byHand.at(60))
        yield* clearCalm

        const byRule = yield* start
        yield* byRule.swings(1, 2, 3, 4)
        yield* byRule.begin(5)
        yield* byRule.inside(updateAlert({ key, episode: "5", at: byRule.at(5), severity: "major", flapping: true }))
        assert.strictEqual((yield* byRule.end(5)).outcome, "cleared")

        const gone = yield* start
        yield* gone.swings(1, 2, 3, 4)
        yield* gone.begin(5)
        assert.strictEqual((yield* gone.end(5, { reason: "The device is gone" })).outcome, "cleared")
      })
    )
  )

  it.effect("is_not_held_where_a_window_keeps_it_from_calling_anybody", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, at, operator, swings } = yield* start
        const from = new Date(friday)
        const scope = { devices: [pump], assets: [], territories: [], rules: [] }
        yield* as(operator)(createWindow({ ...scope, from, until: new Date(at(60)), reason: "New pump" }))
        assert.deepStrictEqual((yield* swings(1, 2, 3, 4, 5, 6)).slice(4), ["cleared", "cleared"])
        assert.deepStrictEqual([...new Set((yield* alerts).map(({ state }) => state))], ["closed"])
      })
    )
  )
})
