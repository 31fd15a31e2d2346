import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { as, outcome } from "../../test/caseRooms.ts"
import { alertsOf, onADay, securityRooms } from "../../test/securityRooms.ts"
import { createPrincipal, createTenant } from "../../testing/kernel.ts"
import { clearQuietAlerts, raiseAlert } from "./alerts.ts"
import { alertConsumer } from "./consumers.ts"

const flood = { kind: "code-flood", originator: "+99890123", summary: "Too many codes." } as const

const start = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const officer = yield* createPrincipal(tenantId, { kind: "staff", roles: ["security-officer"] })
  const raise = withTenant(tenantId)(raiseAlert(flood))
  const take = (transition: string, caseId: string, actor = officer) =>
    outcome(as(actor)(transitionCase({ caseId, transition })))
  return { tenantId, officer, raise, take, alerts: alertsOf(tenantId) }
})

layer(securityRooms(inject("postgresUrl")), { excludeTestServices: true })("alerts", (it) => {
  it.effect("are_one_for_a_kind_and_an_originator_however_many_raise_them_at_once", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, raise, tenantId } = yield* start
        const raised = yield* Effect.forEach(Array.from({ length: 20 }), () => raise, { concurrency: "unbounded" })
        assert.strictEqual(raised.filter(({ isNew }) => isNew).length, 1)
        yield* withTenant(tenantId)(raiseAlert({ ...flood, originator: "+99891123" }))
        yield* withTenant(tenantId)(raiseAlert({ ...flood, kind: "prefix-paused" }))
        assert.deepEqual(
          (yield* alerts).map(({ times }) => times),
          [20, 1, 1]
        )
      })
    )
  )

  it.effect("are_acknowledged_and_cleared_in_either_order_and_closed_after_both", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, raise, take } = yield* start
        const first = yield* raise
        assert.strictEqual(yield* take("acknowledge", first.caseId), "ok")
        assert.strictEqual((yield* alerts)[0]!.state, "acknowledged")
        assert.isFalse((yield* raise).isNew)
        assert.strictEqual(yield* take("clear", first.caseId), "ok")
        assert.deepInclude((yield* alerts)[0], { state: "closed", times: null })
        const second = yield* raise
        assert.isTrue(second.isNew)
        assert.strictEqual(yield* take("clear", second.caseId), "ok")
        assert.strictEqual((yield* alerts)[1]!.state, "cleared")
        assert.strictEqual(yield* take("acknowledge", second.caseId), "ok")
        assert.strictEqual((yield* alerts)[1]!.state, "closed")
      })
    )
  )

  it.effect("clear_themselves_when_they_do_not_happen_again", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, raise } = yield* start
        yield* raise
        yield* TestClock.adjust("5 hours")
        yield* raise
        yield* TestClock.adjust("5 hours")
        yield* clearQuietAlerts
        assert.strictEqual((yield* alerts)[0]!.state, "raised")
        yield* TestClock.adjust("1 hour")
        yield* clearQuietAlerts
        assert.deepInclude((yield* alerts)[0], { state: "cleared", times: null })
        assert.isTrue((yield* raise).isNew)
      })
    )
  )

  it.effect("are_told_to_those_who_may_acknowledge_them_and_to_nobody_else", () =>
    onADay(
      Effect.gen(function* () {
        const { officer, raise, take, tenantId } = yield* start
        const admin = yield* createPrincipal(tenantId, { kind: "staff", roles: ["municipality-admin"] })
        const dispatcher = yield* createPrincipal(tenantId, { kind: "staff", roles: ["dispatcher"] })
        const citizen = yield* createPrincipal(tenantId)
        const { caseId } = yield* raise
        const told = yield* withTenant(tenantId)(
          Effect.flatMap(
            TenantTx,
            ({ sql }) =>
              sql<{ id: string }>`select principal_id as id from mahalla.case_subscriber where case_id = ${caseId}`
          )
        )
        assert.sameMembers(
          told.map(({ id }) => id),
          [officer.id, admin.id]
        )
        assert.strictEqual(yield* take("acknowledge", caseId, citizen), "NotFound")
        assert.strictEqual(yield* take("acknowledge", caseId, dispatcher), "Forbidden")
      })
    )
  )

  it.effect("keep_whom_they_are_about_out_of_the_log", () =>
    onADay(
      Effect.gen(function* () {
        const { tenantId } = yield* start
        yield* withTenant(tenantId)(raiseAlert({ ...flood, originator: "192.0.2.0/24" }))
        const events = yield* withTenant(tenantId)(
          Effect.flatMap(TenantTx, ({ sql }) => sql`select type, payload from mahalla.event`)
        )
        assert.include(JSON.stringify(events), "code-flood")
        assert.notInclude(JSON.stringify(events), "192.0.2.")
      })
    )
  )

  it.effect("are_raised_by_what_other_modules_write_down", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, tenantId } = yield* start
        const happened = (type: string, payload: Record<string, unknown>) =>
          withTenant(tenantId)(
            alertConsumer.handle({
              tenantId,
              position: 1n,
              id: "01a1fb96-0a6f-7324-b14e-40eab5e1b19c",
              type,
              caseId: null,
              actorId: null,
              payload,
              occurredAt: new Date(0)
            })
          ) as Effect.Effect<void>
        yield* happened("identity.refresh-reused", { principalId: "somebody", sessionId: "one" })
        yield* happened("payouts.held", { principalId: "somebody", perDay: "20" })
        yield* happened("payouts.payee-changed", { principalId: "at home", payoutId: "one", newDevice: false })
        yield* happened("payouts.payee-changed", { principalId: "somebody", payoutId: "one", newDevice: true })
        yield* happened("audit.checkpoint-refused", { where: "file", detail: "The log has lost its end." })
        assert.deepEqual(
          (yield* alerts).map(({ kind, originator }) => [kind, originator]),
          [
            ["refresh-reused", "somebody"],
            ["many-payouts", "somebody"],
            ["payee-changed", "somebody"],
            ["checkpoint-refused", "file"]
          ]
        )
      })
    )
  )
})
