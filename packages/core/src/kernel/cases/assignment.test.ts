import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as, caseRooms, city, eventsOf, outcome } from "../../test/caseRooms.ts"
import { newId } from "../ids.ts"
import { assignCase, claimCase, releaseClaim, renewClaim } from "./assignment.ts"
import { loadCase } from "./record.ts"
import { transitionCase } from "./transition.ts"

const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(Date.UTC(2026, 10, 20)), self).pipe(
    Effect.provide(TestClock.layer(), { local: true })
  )

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("assignment", (it) => {
  it.effect("gives_a_case_to_somebody_and_takes_it_away", () =>
    Effect.gen(function* () {
      const { create, dispatcher, inspector, tenantId } = yield* city
      const { id } = yield* create()
      const given = yield* as(dispatcher)(assignCase({ caseId: id, assigneeId: inspector.id, ifVersion: 1 }))
      assert.deepStrictEqual([given.assigneeId, given.version], [inspector.id, 2])
      yield* as(dispatcher)(assignCase({ caseId: id, assigneeId: inspector.id }))
      const taken = yield* as(dispatcher)(assignCase({ caseId: id, assigneeId: null }))
      assert.deepStrictEqual(yield* as(dispatcher)(loadCase(id)), taken)
      assert.deepStrictEqual([taken.assigneeId, taken.version], [null, 3])
      const about = { type: "pothole", reference: given.reference }
      assert.deepStrictEqual(yield* eventsOf(tenantId, id), [
        {
          type: "case.assigned",
          actorId: dispatcher.id,
          payload: { ...about, assigneeId: inspector.id, previousId: null, version: 2 }
        },
        {
          type: "case.assigned",
          actorId: dispatcher.id,
          payload: { ...about, assigneeId: null, previousId: inspector.id, version: 3 }
        }
      ])
    })
  )

  it.effect("is_refused_without_the_right_on_an_old_version_and_to_strangers", () =>
    Effect.gen(function* () {
      const { create, dispatcher, inspector, neighbour, owner, tenantId } = yield* city
      const stranger = (yield* city).inspector
      const { id } = yield* create()
      const secret = yield* create({ type: "matter" })
      const assign = (caseId: string, assigneeId: string | null, ifVersion?: number) =>
        outcome(assignCase({ caseId, assigneeId, ifVersion }))
      assert.deepStrictEqual(
        [
          yield* as(owner)(assign(id, inspector.id)),
          yield* as(inspector)(assign(id, inspector.id)),
          yield* as(neighbour)(assign(secret.id, inspector.id)),
          yield* as(dispatcher)(assign(yield* newId, inspector.id)),
          yield* as(dispatcher)(assign(id, inspector.id, 2)),
          yield* as(dispatcher)(assign(id, stranger.id)),
          yield* as(dispatcher)(assign(id, yield* newId))
        ],
        ["Forbidden", "Forbidden", "NotFound", "NotFound", "VersionConflict", "InvalidInput", "InvalidInput"]
      )
      assert.deepStrictEqual(yield* eventsOf(tenantId, id), [])
    })
  )
})

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("claims", (it) => {
  it.effect("hold_a_case_for_fifteen_minutes_without_a_new_version", () =>
    Effect.gen(function* () {
      const { colleague, create, inspector, tenantId } = yield* city
      const { id } = yield* create()
      const held = yield* as(inspector)(claimCase(id))
      assert.deepStrictEqual(
        [held.claimedBy, held.claimedUntil, held.version],
        [inspector.id, new Date(Date.UTC(2026, 10, 20, 0, 15)), 1]
      )
      const refused = yield* Effect.flip(as(colleague)(claimCase(id)))
      assert.strictEqual(refused._tag, "Claimed")
      assert.include(refused.message, "2026-11-20T00:15:00.000Z")
      yield* TestClock.adjust("14 minutes")
      assert.strictEqual(yield* as(colleague)(outcome(claimCase(id))), "Claimed")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* as(colleague)(claimCase(id))).claimedBy, colleague.id)
      assert.deepStrictEqual(
        (yield* eventsOf(tenantId, id)).map((event) => [event.type, event.actorId]),
        [
          ["case.claimed", inspector.id],
          ["case.claimed", colleague.id]
        ]
      )
    }).pipe(timed)
  )

  it.effect("are_renewed_while_they_live_and_released_by_their_holder", () =>
    Effect.gen(function* () {
      const { colleague, create, inspector, tenantId } = yield* city
      const { id } = yield* create()
      assert.strictEqual(yield* as(inspector)(outcome(renewClaim(id))), "Refused no-claim")
      yield* as(inspector)(claimCase(id, 10))
      yield* TestClock.adjust("9 minutes")
      yield* as(inspector)(renewClaim(id, 10))
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(yield* as(colleague)(outcome(renewClaim(id))), "Claimed")
      yield* as(colleague)(releaseClaim(id))
      assert.strictEqual(yield* as(colleague)(outcome(claimCase(id))), "Claimed")
      yield* as(inspector)(releaseClaim(id))
      yield* as(inspector)(releaseClaim(id))
      yield* as(colleague)(claimCase(id))
      yield* TestClock.adjust("16 minutes")
      assert.strictEqual(yield* as(colleague)(outcome(renewClaim(id))), "Refused no-claim")
      assert.deepStrictEqual(
        (yield* eventsOf(tenantId, id)).map((event) => event.type),
        ["case.claimed", "case.claim-released", "case.claimed"]
      )
    }).pipe(timed)
  )

  it.effect("are_taken_by_one_of_many_at_once", () =>
    Effect.gen(function* () {
      const { colleague, create, dispatcher, inspector } = yield* city
      const { id } = yield* create()
      const tries = [inspector, colleague, dispatcher, inspector, colleague, dispatcher]
      const outcomes = yield* Effect.all(
        tries.map((person) => Effect.map(as(person)(outcome(claimCase(id))), (result) => [person.id, result] as const)),
        { concurrency: 6 }
      )
      const holders = new Set(outcomes.flatMap(([person, result]) => (result === "ok" ? [person] : [])))
      assert.strictEqual(holders.size, 1)
      assert.strictEqual((yield* as(inspector)(loadCase(id))).claimedBy, [...holders][0])
    })
  )

  it.effect("stop_others_decisions_but_not_the_holders_nor_the_engines", () =>
    Effect.gen(function* () {
      const { colleague, create, engine, inspector } = yield* city
      const start = (caseId: string) => outcome(transitionCase({ caseId, transition: "start", ifVersion: 1 }))
      const [one, two, three] = [yield* create(), yield* create(), yield* create()]
      for (const { id } of [one, two, three]) yield* as(inspector)(claimCase(id))
      assert.strictEqual(yield* as(colleague)(start(one.id)), "Claimed")
      assert.strictEqual(yield* as(inspector)(start(one.id)), "ok")
      assert.strictEqual(yield* as(engine)(start(two.id)), "ok")
      yield* TestClock.adjust("15 minutes")
      assert.strictEqual(yield* as(colleague)(start(three.id)), "ok")
    }).pipe(timed)
  )

  it.effect("need_the_right_and_an_account", () =>
    Effect.gen(function* () {
      const { create, engine, neighbour, owner, visitor } = yield* city
      const { id } = yield* create()
      const secret = yield* create({ type: "matter" })
      assert.deepStrictEqual(
        [
          yield* as(owner)(outcome(claimCase(id))),
          yield* as(visitor)(outcome(claimCase(id))),
          yield* as(engine)(outcome(claimCase(id))),
          yield* as(neighbour)(outcome(claimCase(secret.id)))
        ],
        ["Forbidden", "Forbidden", "Refused no-principal", "NotFound"]
      )
    })
  )
})
