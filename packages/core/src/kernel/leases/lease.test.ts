import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { withPlatform } from "../db/Database.ts"
import { testKernel } from "../../testing/kernel.ts"
import { alone, dropLease, takeLease, whileLeader } from "./lease.ts"

const take = (name: string, holder: string, seconds: number) => withPlatform(takeLease(name, holder, seconds))

layer(Layer.merge(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 16 }), Logger.layer([])), {
  excludeTestServices: true
})("leases", (it) => {
  it.effect("go_to_one_of_many_who_ask_at_once", () =>
    Effect.gen(function* () {
      const holders = Array.from({ length: 20 }, (_, index) => `p${index}`)
      const won = yield* Effect.forEach(holders, (holder) => take("one", holder, 30), { concurrency: "unbounded" })
      assert.strictEqual(won.filter((ours) => ours).length, 1)
      const winner = holders[won.indexOf(true)]!
      assert.isTrue(yield* take("one", winner, 30), "its holder prolongs it")
      yield* withPlatform(dropLease("one", "somebody else"))
      assert.isFalse(yield* take("one", "late", 30), "only its holder gives it back")
      yield* withPlatform(dropLease("one", winner))
      assert.isTrue(yield* take("one", "late", 30))
    })
  )

  it.effect("pass_on_when_they_have_run_out", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* take("short", "dead", 0.2))
      assert.isFalse(yield* take("short", "heir", 5))
      yield* Effect.sleep(300)
      assert.isTrue(yield* take("short", "heir", 5))
      assert.isFalse(yield* take("short", "dead", 5))
    })
  )

  it.effect("let_one_leader_work_at_a_time_and_another_one_when_it_goes", () =>
    Effect.gen(function* () {
      let working = 0
      let most = 0
      const turns: Record<string, number> = { a: 0, b: 0, c: 0 }
      const leader = (holder: string) =>
        Effect.forkChild(
          whileLeader(
            { name: "work", holder, seconds: 0.6 },
            Effect.acquireUseRelease(
              Effect.sync(() => {
                most = Math.max(most, ++working)
                turns[holder]!++
              }),
              () => Effect.sleep(20),
              () => Effect.sync(() => working--)
            )
          )
        )
      const fibers = { a: yield* leader("a"), b: yield* leader("b"), c: yield* leader("c") }
      yield* Effect.sleep(1_200)
      const [first] = Object.entries(turns).filter(([, amount]) => amount > 0)
      assert.strictEqual(Object.values(turns).filter((amount) => amount > 0).length, 1, JSON.stringify(turns))
      yield* Fiber.interrupt(fibers[first![0] as "a"])
      const before = { ...turns }
      yield* Effect.sleep(1_500)
      assert.strictEqual(turns[first![0]], before[first![0]])
      assert.isAbove(
        Object.values(turns).reduce((sum, amount) => sum + amount, 0),
        Object.values(before).reduce((sum, amount) => sum + amount, 0)
      )
      assert.strictEqual(most, 1)
      yield* Fiber.interruptAll(Object.values(fibers))
    })
  )

  it.effect("let_work_that_is_not_made_for_two_be_done_one_after_the_other_whatever_becomes_of_it", () =>
    Effect.gen(function* () {
      let working = 0
      let most = 0
      const done: Array<number> = []
      const work = (which: number) =>
        alone(
          "first data",
          `process ${which}`
        )(
          Effect.gen(function* () {
            most = Math.max(most, ++working)
            yield* Effect.sleep(60)
            working--
            done.push(which)
            if (which === 1) return yield* Effect.fail("broken off" as const)
            return which
          })
        )
      const began = performance.now()
      const ended = yield* Effect.forEach([0, 1, 2, 3], (which) => Effect.result(work(which)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        ended.map((one) => (one._tag === "Success" ? one.success : one.failure)),
        [0, "broken off", 2, 3]
      )
      assert.deepStrictEqual([most, done.length], [1, 4])
      assert.isBelow(performance.now() - began, 8_000, "a lease is given back, and not left to run out")
      // Nobody has left it behind.
      assert.isTrue(yield* take("first data", "another", 5))
    })
  )

  it.effect("survive_a_turn_that_fails", () =>
    Effect.gen(function* () {
      let turns = 0
      const turn = Effect.suspend(() => {
        turns++
        return turns === 1 ? Effect.die(new Error("the first turn")) : Effect.sleep(10)
      })
      const fiber = yield* Effect.forkChild(whileLeader({ name: "again", holder: "a", seconds: 1 }, turn))
      yield* Effect.sleep(4_000)
      assert.isAbove(turns, 2)
      yield* Fiber.interrupt(fiber)
    })
  )
})
