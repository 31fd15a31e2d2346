import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { eventsOf } from "../../test/caseRooms.ts"
import { onFriday } from "../../test/controlRooms.ts"
import { filingCity, filingRooms } from "../../test/filingRooms.ts"
import { TenantTx } from "../../kernel/db/Database.ts"

const scoped = <A, E, R>(self: Effect.Effect<A, E, R>) => onFriday(Effect.scoped(self))

layer(filingRooms(inject("postgresUrl")), { excludeTestServices: true })("the queue of an authority", (it) => {
  it.effect("asks_by_its_number_about_what_a_dead_process_was_sending_and_sends_it_again_under_that", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, inside, only, pass, turn, turns, way } = yield* filingCity
        const { id } = yield* decided
        // Between the commit of the number and the first byte.
        yield* inside(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql`
              update mahalla.filing set state = 'submitting', changed_at = ${new Date(Date.UTC(2026, 10, 20, 6))},
                next_at = ${new Date(Date.UTC(2026, 10, 20, 6, 2))}`
          )
        )
        assert.deepStrictEqual(yield* turns(), ["idle"])
        yield* pass(2)
        assert.strictEqual(yield* turn, "heard")
        assert.deepInclude(yield* only, { state: "unknown", detail: "The process ended while it was being sent." })
        assert.strictEqual(yield* control.effects(id), 0)
        yield* pass(1)
        yield* turns()
        assert.strictEqual((yield* only).state, "filed")
        assert.deepStrictEqual(
          way.filed.map(({ number }) => number),
          [id]
        )
        assert.strictEqual(yield* control.effects(id), 1)
      })
    )
  )

  it.effect("does_not_send_what_had_arrived_when_the_process_died", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, only, pass, turn, turns, way } = yield* filingCity
        const { id } = yield* decided
        way.dies = true
        assert.strictEqual((yield* Effect.exit(turn))._tag, "Failure")
        way.dies = false
        assert.strictEqual((yield* only).state, "submitting")
        yield* pass(2)
        yield* turns()
        yield* pass(1)
        yield* turns()
        assert.strictEqual((yield* only).state, "filed")
        assert.deepStrictEqual([way.filed.length, yield* control.effects(id)], [1, 1])
      })
    )
  )

  for (const fault of ["lost-after", "lost-before", "malformed", "wrong-content", "late"] as const)
    it.effect(`files_once_when_the_answer_is_${fault}`, () =>
      scoped(
        Effect.gen(function* () {
          const { control, decided, only, pass, turns } = yield* filingCity
          yield* control.next(fault)
          const { id } = yield* decided
          yield* turns()
          assert.strictEqual((yield* only).state, "unknown")
          yield* pass(1)
          yield* turns()
          yield* control.settle
          yield* pass(60)
          yield* turns()
          assert.strictEqual((yield* only).state, "filed")
          assert.strictEqual(yield* control.effects(id), 1)
        })
      )
    )

  it.effect("takes_no_time_that_passes_for_an_answer", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, only, pass, tenantId, turns, way } = yield* filingCity
        yield* control.next("lost-after")
        const { caseId, id } = yield* decided
        yield* turns()
        way.away = true
        for (let day = 0; day < 30; day++) {
          yield* pass(60 * 24)
          yield* turns(5)
        }
        assert.strictEqual((yield* only).state, "unknown")
        assert.strictEqual(way.filed.length, 1)
        way.away = false
        yield* pass(60 * 24)
        yield* turns()
        assert.deepStrictEqual([(yield* only).state, yield* control.effects(id)], ["filed", 1])
        assert.deepStrictEqual(
          (yield* eventsOf(tenantId, caseId)).map(({ type }) => type),
          ["filings.queued", "filings.unknown", "filings.filed"]
        )
      })
    )
  )

  it.effect("stands_still_through_days_of_outage_and_goes_on_in_its_order", () =>
    scoped(
      Effect.gen(function* () {
        const { authorities, control, decided, instance, pass, rows, turns, way } = yield* filingCity
        way.away = true
        const numbers: Array<string> = []
        numbers.push((yield* decided).id)
        // Of an hour every half a minute, as a worker would; of the days that follow every hour, for the sake of the test's own.
        for (let part = 0; part < 120; part++) {
          yield* turns(1)
          yield* pass(0.5)
        }
        assert.isBelow(way.filed.length, 16)
        for (let hour = 1; hour < 72; hour++) {
          if (hour % 6 === 0) numbers.push((yield* decided).id)
          yield* turns(8)
          yield* pass(60)
        }
        assert.strictEqual((yield* authorities.circuit(instance)).state, "open")
        assert.deepStrictEqual([...new Set((yield* rows).map(({ state }) => state))], ["queued"])
        // Tried a few times before the circuit opened, then once each time that it was time to look; always the first of the queue.
        assert.isBelow(way.filed.length, 16 + 71)
        assert.deepStrictEqual([...new Set(way.filed.map(({ number }) => number))], [numbers[0]])
        way.away = false
        way.filed.length = 0
        yield* pass(10)
        yield* turns()
        assert.strictEqual((yield* authorities.circuit(instance)).state, "closed")
        assert.deepStrictEqual(
          way.filed.map(({ number }) => number),
          numbers
        )
        assert.deepStrictEqual([...new Set((yield* rows).map(({ state }) => state))], ["filed"])
        for (const number of numbers) assert.strictEqual(yield* control.effects(number), 1)
      })
    )
  )

  it.effect("sends_each_once_when_several_workers_take_from_it", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, rows, turns, way } = yield* filingCity
        const numbers: Array<string> = []
        for (let one = 0; one < 12; one++) numbers.push((yield* decided).id)
        yield* Effect.all(
          Array.from({ length: 6 }, () => turns()),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(way.filed.map(({ number }) => number).toSorted(), numbers.toSorted())
        assert.deepStrictEqual([...new Set((yield* rows).map(({ state }) => state))], ["filed"])
        for (const number of numbers) assert.strictEqual(yield* control.effects(number), 1)
      })
    )
  )
})
