import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { gathering } from "./gathering.ts"

/** Doubles numbers; each batch waits until it is let go. */
const gated = () => {
  const batches: Array<ReadonlyArray<number>> = []
  const gates: Array<Deferred.Deferred<void, string>> = []
  const ask = gathering((numbers: ReadonlyArray<number>) =>
    Effect.suspend(() => {
      const gate = Deferred.makeUnsafe<void, string>()
      batches.push(numbers)
      gates.push(gate)
      return Effect.as(
        Deferred.await(gate),
        numbers.map((n) => n * 2)
      )
    })
  )
  const turn = Effect.repeat(Effect.yieldNow, { times: 20 })
  const asked = (numbers: ReadonlyArray<number>) =>
    Effect.tap(
      Effect.forEach(numbers, (n) => Effect.forkChild(ask(n))),
      () => turn
    )
  return { batches, gates, ask, asked, turn }
}

const upTo = (n: number) => Array.from({ length: n }, (_, place) => place)

describe("gathering", () => {
  it.effect("takes_together_what_comes_at_once_and_answers_each_with_its_own", () =>
    Effect.gen(function* () {
      const { asked, batches, gates } = gated()
      const fibers = yield* asked([1, 2, 3])
      assert.deepStrictEqual(batches, [[1, 2, 3]])
      yield* Deferred.succeed(gates[0]!, undefined)
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [2, 4, 6])
    })
  )

  it.effect("gathers_while_a_batch_is_under_way", () =>
    Effect.gen(function* () {
      const { asked, batches, gates, turn } = gated()
      const first = yield* asked([1])
      const second = [...(yield* asked([2])), ...(yield* asked([3, 4]))]
      assert.deepStrictEqual(batches, [[1]])
      yield* Deferred.succeed(gates[0]!, undefined)
      yield* turn
      assert.deepStrictEqual(batches, [[1], [2, 3, 4]])
      yield* Deferred.succeed(gates[1]!, undefined)
      assert.deepStrictEqual(yield* Effect.forEach([...first, ...second], Fiber.join), [2, 4, 6, 8])
    })
  )

  it.effect("does_not_wait_for_a_batch_that_takes_long", () =>
    Effect.gen(function* () {
      const { asked, batches, gates, turn } = gated()
      const [slow] = yield* asked([1])
      const [quick] = yield* asked([2])
      assert.lengthOf(batches, 1)
      yield* TestClock.adjust("50 millis")
      yield* turn
      assert.deepStrictEqual(batches, [[1], [2]])
      yield* Deferred.succeed(gates[1]!, undefined)
      assert.strictEqual(yield* Fiber.join(quick!), 4)
      yield* Deferred.succeed(gates[0]!, undefined)
      assert.strictEqual(yield* Fiber.join(slow!), 2)
    })
  )

  it.effect("takes_64_at_most", () =>
    Effect.gen(function* () {
      const { asked, batches } = gated()
      yield* asked(upTo(150))
      assert.deepStrictEqual(
        batches.map((batch) => batch.length),
        [64, 64]
      )
      assert.deepStrictEqual(batches.flat(), upTo(128))
    })
  )

  it.effect("a_failure_is_everybodys_and_the_next_batch_goes_on", () =>
    Effect.gen(function* () {
      const { asked, gates } = gated()
      const fibers = yield* asked([1, 2])
      const next = yield* asked([3])
      yield* Deferred.fail(gates[0]!, "no")
      for (const fiber of fibers) assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("no") as never)
      yield* Effect.repeat(Effect.yieldNow, { times: 20 })
      yield* Deferred.succeed(gates[1]!, undefined)
      assert.deepStrictEqual(yield* Effect.forEach(next, Fiber.join), [6])
    })
  )

  it.effect("who_gives_up_waiting_is_left_out_and_disturbs_nobody", () =>
    Effect.gen(function* () {
      const { asked, batches, gates, turn } = gated()
      const [running, patient] = yield* asked([1, 2])
      const [leaving, staying] = yield* asked([3, 4])
      yield* Fiber.interrupt(leaving!)
      yield* Fiber.interrupt(running!)
      yield* Deferred.succeed(gates[0]!, undefined)
      assert.strictEqual(yield* Fiber.join(patient!), 4)
      yield* turn
      assert.deepStrictEqual(batches, [[1, 2], [4]])
      yield* Deferred.succeed(gates[1]!, undefined)
      assert.strictEqual(yield* Fiber.join(staying!), 8)
    })
  )
})
