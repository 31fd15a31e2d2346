import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { fireDue } from "../../kernel/deadlines/deadlines.ts"
import { deadlineJob } from "../../kernel/deadlines/job.ts"
import { withPlatform } from "../../kernel/db/Database.ts"
import type { JobInfo } from "../../kernel/jobs/Job.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { eventsOf } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, watchedCity } from "../../test/controlRooms.ts"
import { clearAlert, raiseAlert, updateAlert } from "./raise.ts"

const { key } = lowPressure
const cleared = { key, episode: "1", at: friday }

const start = Effect.gen(function* () {
  const city = yield* watchedCity
  const { caseId } = yield* city.inside(raiseAlert(lowPressure))
  const id = caseId!
  return {
    ...city,
    id,
    clear: city.inside(clearAlert(cleared)),
    step: (transition: string, input: object = {}) => city.take(transition, id, input),
    seen: Effect.map(city.alerts, ([alert]) => [alert!.state, alert!.data["status"]])
  }
})

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("an alert", (it) => {
  it.effect("shows_the_four_states_of_condition_and_acknowledgement", () =>
    onFriday(
      Effect.gen(function* () {
        const first = yield* start
        assert.deepStrictEqual(yield* first.seen, ["open", "ACTIVE_UNACK"])
        assert.strictEqual(yield* first.step("acknowledge"), "ok")
        assert.deepStrictEqual(yield* first.seen, ["open", "ACTIVE_ACK"])
        assert.strictEqual(yield* first.step("acknowledge"), "Refused already-acknowledged")
        yield* first.clear
        assert.deepStrictEqual(yield* first.seen, ["closed", "CLEARED_ACK"])
        const [alert] = yield* first.alerts
        assert.strictEqual(alert!.data["acknowledgedBy"], first.operator.id)

        const second = yield* start
        yield* second.clear
        assert.deepStrictEqual(yield* second.seen, ["open", "CLEARED_UNACK"])
        assert.strictEqual(yield* second.step("acknowledge"), "ok")
        assert.deepStrictEqual(yield* second.seen, ["closed", "CLEARED_ACK"])
      })
    )
  )

  it.effect("goes_from_open_to_investigating_resolved_and_closed", () =>
    onFriday(
      Effect.gen(function* () {
        const { clear, id, seen, step, tenantId } = yield* start
        assert.strictEqual(yield* step("close"), "WrongState")
        assert.strictEqual(yield* step("investigate"), "ok")
        // Whoever looks into it has seen it.
        assert.deepStrictEqual(yield* seen, ["investigating", "ACTIVE_ACK"])
        assert.strictEqual(yield* step("resolve", { note: "Valve closed" }), "ok")
        assert.strictEqual(yield* step("close"), "Refused still-active")
        assert.deepStrictEqual(yield* seen, ["resolved", "ACTIVE_ACK"])
        yield* clear
        assert.deepStrictEqual(yield* seen, ["closed", "CLEARED_ACK"])
        assert.strictEqual(yield* step("reopen", { reason: "It leaks again" }), "ok")
        assert.deepStrictEqual(yield* seen, ["investigating", "CLEARED_ACK"])
        assert.strictEqual(yield* step("resolve"), "ok")
        assert.strictEqual(yield* step("close"), "ok")
        assert.deepStrictEqual(
          (yield* eventsOf(tenantId, id)).map(({ type }) => type.slice(6)),
          ["investigate", "resolve", "clear-by-rule", "reopen", "resolve", "close"]
        )
      })
    )
  )

  it.effect("is_cleared_by_hand_with_a_reason_and_stays_so_until_the_next_episode", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, id, inside, seen, step } = yield* start
        assert.strictEqual(yield* step("clear"), "InvalidInput")
        assert.strictEqual(yield* step("clear", { reason: "The sensor was taken out" }), "ok")
        assert.deepStrictEqual(yield* seen, ["open", "CLEARED_UNACK"])
        assert.strictEqual(yield* step("clear", { reason: "Once more" }), "Refused already-cleared")
        assert.strictEqual((yield* inside(updateAlert({ ...cleared, severity: "critical" }))).outcome, "ignored")
        assert.strictEqual((yield* inside(raiseAlert(lowPressure))).outcome, "repeated")
        const next = yield* inside(raiseAlert({ ...lowPressure, episode: "2" }))
        assert.deepStrictEqual(
          (yield* alerts).map((alert) => [alert.id, alert.active, alert.data["reason"]]),
          [
            [id, false, "The sensor was taken out"],
            [next.caseId, true, undefined]
          ]
        )
      })
    )
  )

  it.effect("closes_by_itself_a_day_after_it_was_resolved_once_the_condition_is_gone", () =>
    onFriday(
      Effect.gen(function* () {
        const passADay = ({ id, tenantId }: { readonly id: string; readonly tenantId: string }) =>
          Effect.gen(function* () {
            yield* TestClock.adjust("25 hours")
            yield* withPlatform(fireDue())
            const job = { tenantId } as JobInfo
            yield* Effect.provideService(deadlineJob.run({ caseId: id, name: "settle" }, job), Actor, system(tenantId))
          })
        const gone = yield* start
        yield* gone.clear
        yield* gone.step("investigate")
        yield* gone.step("resolve")
        assert.deepStrictEqual(yield* gone.seen, ["resolved", "CLEARED_ACK"])
        yield* passADay(gone)
        assert.deepStrictEqual(yield* gone.seen, ["closed", "CLEARED_ACK"])

        const active = yield* start
        yield* active.step("resolve")
        yield* passADay(active)
        assert.deepStrictEqual(yield* active.seen, ["resolved", "ACTIVE_ACK"])
      })
    )
  )

  it.effect("is_for_those_who_may_and_for_nobody_else", () =>
    onFriday(
      Effect.gen(function* () {
        const { citizen, dispatcher, id, take } = yield* start
        assert.strictEqual(yield* take("acknowledge", id, {}, citizen), "NotFound")
        assert.strictEqual(yield* take("acknowledge", id, {}, dispatcher), "Forbidden")
        for (const internal of ["clear-by-rule", "change", "suppress", "unsuppress", "settle"])
          assert.strictEqual(yield* take(internal, id), "NotFound")
      })
    )
  )

  it.effect("tells_everybody_who_may_acknowledge_it_where_there_is_no_ladder", () =>
    onFriday(
      Effect.gen(function* () {
        const { hearers, id, operator } = yield* start
        assert.deepStrictEqual(yield* hearers(id), [operator.id])
      })
    )
  )
})
