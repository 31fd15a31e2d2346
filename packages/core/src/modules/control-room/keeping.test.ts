import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { inTransactionOf, PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { as } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, pump, station, watchedCity } from "../../test/controlRooms.ts"
import { createLadder } from "./ladders.ts"
import { controlRoomOfPerson } from "./people.ts"
import { clearAlert, raiseAlert } from "./raise.ts"
import { controlRoomRetention } from "./retention.ts"
import { addOverride, createRota, getRota, onCallNow } from "./rotas.ts"
import { createWindow } from "./windows.ts"
import { createWorkOrder, maintenanceLogOf } from "./workOrders.ts"

const asPlatform = <A>(tenantId: string, self: Effect.Effect<A, unknown, Erased>) =>
  withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => inTransactionOf(tenantId, sql, self)))

const hour = 3_600_000
const window = {
  from: new Date(friday - hour),
  until: new Date(friday + hour),
  reason: "New pump",
  ...{ devices: [pump], assets: [], territories: [], rules: [] }
}

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("what the control room keeps", (it) => {
  it.effect("goes_when_its_time_is_over_and_what_is_active_stays", () =>
    onFriday(
      Effect.gen(function* () {
        const city = yield* watchedCity
        const other = yield* watchedCity
        yield* as(city.operator)(createWindow(window))
        for (const { inside } of [city, other]) {
          yield* inside(raiseAlert(lowPressure))
          yield* inside(clearAlert({ key: lowPressure.key, episode: "1", at: friday }))
          yield* inside(raiseAlert({ ...lowPressure, key: { ...lowPressure.key, rule: "other" } }))
        }
        yield* TestClock.adjust("2 days")
        const before = new Date(friday + 24 * hour)
        const [alerts, windows] = controlRoomRetention
        const drop = (rule: (typeof controlRoomRetention)[number]) =>
          asPlatform(city.tenantId, Effect.zip(rule.due(before), rule.drop(before, 500)))
        // The active alert began in the window: its row names it.
        assert.deepStrictEqual(yield* drop(windows!), [0, 0])
        assert.deepStrictEqual(yield* drop(alerts!), [1, 1])
        assert.strictEqual((yield* city.alerts).length, 1)
        assert.strictEqual((yield* other.alerts).length, 2)
        const left = (table: string) => city.rows(({ sql }) => sql`select from ${sql(`mahalla.${table}`)}`)
        assert.strictEqual((yield* left("alert_episode")).length, 1)
        assert.strictEqual((yield* left("alert_propagation")).length, 2)
        yield* city.inside(clearAlert({ key: { ...lowPressure.key, rule: "other" }, episode: "1", at: friday + hour }))
        assert.deepStrictEqual(yield* drop(alerts!), [1, 1])
        assert.deepStrictEqual(yield* drop(windows!), [1, 1])
      })
    )
  )

  it.effect("of_a_person_is_in_their_copy_and_goes_with_them_while_an_assets_log_stays", () =>
    onFriday(
      Effect.gen(function* () {
        const { operator, rows, staff, take, tenantId } = yield* watchedCity
        const manager = yield* staff("municipality-admin")
        const personId = operator.id!
        const days = [1, 2, 3, 4, 5, 6, 7]
        const rota = yield* as(manager)(
          createRota({ name: "Engineers", shifts: [{ layer: 0, days, from: "00:00", to: "00:00", personId }] })
        )
        const turns = yield* as(manager)(
          createRota({
            name: "Turns",
            shifts: [],
            rotations: [
              { layer: 0, members: [personId, manager.id!], begins: "2026-11-16", handover: "08:00", weeks: 1 }
            ]
          })
        )
        yield* as(manager)(addOverride(rota.id, { from: window.from, until: window.until, personId }))
        yield* as(manager)(createLadder({ name: "L", severities: ["major"], steps: [{ after: 0, personId }] }))
        yield* as(operator)(createWindow(window))
        const order = yield* as(operator)(
          createWorkOrder({ data: { title: "Look at it", kind: "inspect", assetId: station } })
        )
        for (const [step, input] of [
          ["dispatch", {}],
          ["start", {}],
          ["finish", { done: "All is well" }]
        ] as const)
          assert.strictEqual(yield* take(step, order.id, input), "ok")
        const copy = JSON.stringify(yield* asPlatform(tenantId, controlRoomOfPerson.collect(personId)))
        for (const word of ["Engineers", "Turns", "All is well", "New pump"]) assert.include(copy, word)

        yield* asPlatform(tenantId, controlRoomOfPerson.erase(personId))
        const empty = { shifts: [], rotations: [], overrides: [], maintenance: [], windows: [] }
        assert.deepStrictEqual(yield* asPlatform(tenantId, controlRoomOfPerson.collect(personId)), empty)
        assert.isEmpty(yield* as(manager)(onCallNow(rota.id, new Date(friday))))
        // Their turn is the next one's, and whose turn comes then does not move.
        assert.deepStrictEqual(yield* as(manager)(onCallNow(turns.id, new Date(friday))), [manager.id!])
        assert.deepStrictEqual((yield* as(manager)(getRota(turns.id))).rotations[0]!.members, [null, manager.id])
        assert.isEmpty(yield* rows(({ sql }) => sql`select from mahalla.ladder_step`))
        const { items } = yield* as(manager)(maintenanceLogOf(station, {}))
        assert.deepInclude(items[0], { what: "All is well", by: null })
      })
    )
  )
})
