import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { assignCase } from "../../kernel/cases/assignment.ts"
import { as, eventsOf } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, type SeenAlert, watchedCity } from "../../test/controlRooms.ts"
import { createLadder } from "./ladders.ts"
import { acknowledgeAlerts } from "./lists.ts"
import type { AlertEffect } from "./model.ts"
import { applyAlertEffects } from "./raise.ts"

const of = (rule: number) => ({ key: { ...lowPressure.key, rule: `rule-${rule}` }, episode: "1" })
const raise = (rule: number): AlertEffect => ({ kind: "raise", ...lowPressure, ...of(rule) })
const clear = (rule: number): AlertEffect => ({ kind: "clear", ...of(rule), at: friday + rule * 1000 })
const numbers = (amount: number) => Array.from({ length: amount }, (_, rule) => rule)

/** Ten alerts, each in another way on: acknowledged, looked into, resolved, assigned, nothing at all. */
const start = Effect.gen(function* () {
  const city = yield* watchedCity
  const { inside, operator, take } = city
  const manager = yield* city.staff("municipality-admin")
  const steps = [{ after: 10, role: "control-room-operator" }]
  yield* as(manager)(createLadder({ name: "All", severities: ["major"], steps }))
  const raised = yield* inside(applyAlertEffects(numbers(10).map(raise)))
  const ids = raised.map(({ caseId }) => caseId!)
  for (const id of [ids[1]!, ids[3]!]) yield* take("acknowledge", id)
  yield* take("investigate", ids[4]!)
  yield* take("resolve", ids[6]!)
  yield* as(operator)(assignCase({ caseId: ids[7]!, assigneeId: operator.id }))
  yield* take("clear", ids[8]!, { reason: "By hand" })
  const told = Effect.gen(function* () {
    const events = yield* Effect.forEach(ids, (id) => eventsOf(city.tenantId, id))
    const rows = yield* city.rows<{ version: number; phase: string; found: boolean }>(
      ({ sql }) => sql`
        select version, phase, search @@ to_tsquery('simple', 'bar') as found from mahalla.civic_case where type = 'alert' order by id`
    )
    const plain = ({ active, data, state, times }: SeenAlert) => ({ active, data, state, times })
    return {
      alerts: (yield* city.alerts).map(plain),
      rows,
      events: events.map((all) => all.map(({ payload, type }) => ({ payload, type }))),
      ladders: (yield* city.rows(({ sql }) => sql`select from mahalla.alert_ladder`)).length,
      deadlines: (yield* city.rows(({ sql }) => sql`select from mahalla.case_deadline`)).length
    }
  })
  return { ...city, ids, told }
})

/** Without what is named by chance: ids of people, references. */
const comparable = (told: unknown) =>
  JSON.stringify(told)
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}/g, "id")
    .replaceAll(/"[0-9A-Z]{4}-[0-9A-Z]{4}"/g, "reference")

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("a storm", (it) => {
  it.effect("of_clears_leaves_what_clears_one_by_one_leave", () =>
    onFriday(
      Effect.gen(function* () {
        const together = yield* start
        const outcomes = yield* together.inside(applyAlertEffects(numbers(10).map(clear)))
        const alone = yield* start
        const each = yield* Effect.forEach(numbers(10), (rule) => alone.inside(applyAlertEffects([clear(rule)])))
        assert.deepStrictEqual(
          outcomes.map(({ outcome }) => outcome),
          each.map(([one]) => one!.outcome)
        )
        const told = yield* together.told
        assert.strictEqual(comparable(told), comparable(yield* alone.told))
        assert.deepStrictEqual(
          told.alerts.map(({ state }) => state),
          ["open", "closed", "open", "closed", "investigating", "open", "closed", "open", "open", "open"]
        )
        assert.deepInclude(told, { ladders: 0, deadlines: 0 })
        assert.isTrue(told.rows.every(({ found }) => found))
      })
    )
  )

  it.effect("of_acknowledgements_leaves_what_acknowledgements_one_by_one_leave", () =>
    onFriday(
      Effect.gen(function* () {
        const together = yield* start
        const items = yield* as(together.operator)(acknowledgeAlerts(together.ids))
        const alone = yield* start
        const each = yield* Effect.forEach(alone.ids, (id) => alone.take("acknowledge", id))
        assert.deepStrictEqual(
          items.map(({ problem }) => (problem === undefined ? "ok" : `Refused ${problem.code}`)),
          each
        )
        assert.strictEqual(comparable(yield* together.told), comparable(yield* alone.told))
      })
    )
  )

  it.effect("of_two_hands_at_once_acknowledges_each_alert_once", () =>
    onFriday(
      Effect.gen(function* () {
        const { ids, operator, staff, tenantId } = yield* start
        const other = yield* staff("control-room-operator")
        const answers = yield* Effect.all(
          [as(operator)(acknowledgeAlerts(ids)), as(other)(acknowledgeAlerts(ids.toReversed()))],
          { concurrency: 2 }
        )
        const done = answers.flat().filter(({ problem }) => problem === undefined)
        assert.strictEqual(new Set(done.map(({ id }) => id)).size, done.length)
        for (const id of ids) {
          const events = yield* eventsOf(tenantId, id)
          const seen = events.filter(({ type }) =>
            ["alert.acknowledge", "alert.investigate", "alert.resolve"].includes(type)
          )
          assert.strictEqual(seen.length, 1, JSON.stringify(events))
        }
      })
    )
  )
})
