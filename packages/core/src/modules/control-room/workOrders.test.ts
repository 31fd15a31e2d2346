import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { listCases } from "../../kernel/cases/list.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { as, outcome } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, station, watchedCity } from "../../test/controlRooms.ts"
import { raiseAlert } from "./raise.ts"
import { createWorkOrder, maintenanceLogOf } from "./workOrders.ts"

const order = { title: "Change the seal of pump 7", kind: "replace", assetId: station }
const at = (hours: number) => new Date(friday + hours * 3_600_000).toISOString()

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("a work order", (it) => {
  it.effect("goes_from_planned_to_done_and_writes_the_assets_log", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, operator, staff, take, tenantId } = yield* watchedCity
        const crew = yield* staff("control-room-operator")
        const place = { longitude: 69.2, latitude: 41.3 }
        const alert = yield* inside(raiseAlert({ ...lowPressure, place }))
        const parts = [{ name: "Seal", quantity: 2 }]
        const made = yield* as(operator)(
          createWorkOrder({
            data: { ...order, plannedFrom: at(1), plannedUntil: at(3), parts },
            parentId: alert.caseId!,
            assigneeId: crew.id!
          })
        )
        assert.deepInclude(made, { state: "planned", assigneeId: crew.id, place })
        assert.strictEqual(yield* take("start", made.id), "WrongState")
        assert.strictEqual(yield* take("dispatch", made.id, { crew: "Crew 3" }), "ok")
        assert.strictEqual(yield* take("start", made.id, {}, crew), "ok")
        assert.strictEqual(yield* take("finish", made.id, { done: "Both seals are new", cost: 125_000_00 }, crew), "ok")
        assert.deepInclude(yield* inside(loadCase(made.id)), { state: "done", phase: "fixed" })
        const { items } = yield* as(operator)(maintenanceLogOf(station, {}))
        assert.strictEqual(items.length, 1)
        assert.deepInclude(items[0], {
          at: new Date(friday),
          by: crew.id,
          kind: "replace",
          what: "Both seals are new",
          parts,
          workOrderId: made.id,
          cost: 12_500_000n
        })
        const ofAlert = yield* as(operator)(listCases({ parent: alert.caseId! }, {}))
        assert.deepStrictEqual(
          ofAlert.items.map(({ id }) => id),
          [made.id]
        )
        const other = yield* watchedCity
        assert.notStrictEqual(other.tenantId, tenantId)
        assert.isEmpty((yield* as(other.operator)(maintenanceLogOf(station, {}))).items)
      })
    )
  )

  it.effect("that_is_cancelled_leaves_no_line_in_the_log", () =>
    onFriday(
      Effect.gen(function* () {
        const { operator, take } = yield* watchedCity
        const { id } = yield* as(operator)(createWorkOrder({ data: order }))
        assert.strictEqual(yield* take("cancel", id, { reason: "It mended itself" }), "ok")
        assert.strictEqual(yield* take("finish", id, { done: "Nothing" }), "WrongState")
        assert.isEmpty((yield* as(operator)(maintenanceLogOf(station, {}))).items)
      })
    )
  )

  it.effect("is_refused_where_it_ends_before_it_begins_or_comes_from_something_else", () =>
    onFriday(
      Effect.gen(function* () {
        const { citizen, dispatcher, operator, take } = yield* watchedCity
        const plan = (given: object, parentId?: string, actor = operator) =>
          outcome(as(actor)(createWorkOrder({ data: { ...order, ...given }, parentId })))
        assert.strictEqual(yield* plan({ plannedFrom: at(3), plannedUntil: at(1) }), "InvalidInput")
        assert.strictEqual(yield* plan({ kind: "paint" }), "InvalidInput")
        const { id } = yield* as(operator)(createWorkOrder({ data: { ...order, plannedFrom: at(1) } }))
        assert.strictEqual(yield* take("plan", id, { plannedUntil: at(0) }), "InvalidInput")
        assert.strictEqual(yield* take("plan", id, { plannedUntil: at(2) }), "ok")
        assert.strictEqual(yield* plan({}, id), "InvalidInput")
        for (const actor of [citizen, dispatcher]) assert.strictEqual(yield* plan({}, undefined, actor), "Forbidden")
      })
    )
  )
})
