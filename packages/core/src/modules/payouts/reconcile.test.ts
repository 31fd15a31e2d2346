/** Rails' registers against the books of several cities; on a real database. */
import { assert, layer } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inject } from "vitest"
import { memoryRail, openTreasury } from "../../test/treasuryRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import { Payments, PaymentsError, type RegisterLine } from "../../ports/Payments.ts"
import { listDifferences, listReconciliations, resolveDifference } from "./differences.ts"
import { payoutsMigrations } from "./migrations.ts"
import { reconcileDay } from "./reconcile.ts"

const rooms = Layer.merge(memoryRail, testKernel({ postgresUrl: inject("postgresUrl"), migrations: payoutsMigrations }))
const today = () => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(Date.now()))
const all = { open: false, rail: null, cursor: null, limit: 100 }

/** Compares today's register, changed on its way. */
const reconciled = Effect.fnUntraced(function* (
  change: (lines: ReadonlyArray<RegisterLine>) => ReadonlyArray<RegisterLine> = (lines) => lines
) {
  const rail = yield* Payments
  const register = (day: string) =>
    Stream.fromIterableEffect(Effect.map(Stream.runCollect(rail.register(day)), (lines) => change([...lines])))
  return yield* reconcileDay("memory", { ...rail, register }, today())
})

layer(rooms, { excludeTestServices: true })("a day of a rail", (it) => {
  it.effect("I14_is_the_same_on_both_sides_or_each_difference_is_in_the_list_once", () =>
    Effect.gen(function* () {
      const [city, other] = [yield* openTreasury(), yield* openTreasury()]
      const [citizen, stranger] = [yield* city.citizen, yield* other.citizen]
      const ids: Array<string> = []
      for (let count = 0; count < 4; count++) ids.push(yield* city.reward(citizen.id!, 300n))
      for (const id of ids) yield* city.pay(id)
      yield* other.pay(yield* other.reward(stranger.id!, 70n))
      yield* reconciled()
      assert.deepEqual(yield* city.inside(listDifferences(all)), [])
      const [run] = yield* city.inside(listReconciliations(null, null))
      assert.deepInclude(run, {
        rail: "memory",
        lines: 4,
        amount: 1200n,
        payouts: 4,
        booked: 1200n,
        open: 0,
        trouble: null
      })

      const twisted = (lines: ReadonlyArray<RegisterLine>) =>
        lines.flatMap((line): ReadonlyArray<RegisterLine> => {
          switch (ids.indexOf(line.id)) {
            case 0:
              return []
            case 1:
              return [{ ...line, money: { ...line.money, amount: line.money.amount * 100n } }]
            case 2:
              return [line, { ...line, reference: "again" }]
            default:
              return [line]
          }
        })
      for (let times = 0; times < 3; times++) yield* reconciled(twisted)
      const found = yield* city.inside(listDifferences(all))
      assert.deepEqual(found.map(({ kind }) => kind).toSorted(), ["missing-at-rail", "scale", "twice"])
      assert.deepEqual(yield* other.inside(listDifferences(all)), [])
      yield* city.inside(resolveDifference(found[0]!.id, "The bank has confirmed it."))
      assert.lengthOf(yield* city.inside(listDifferences({ ...all, open: true })), 2)
      const again = yield* Effect.flip(city.inside(resolveDifference(found[0]!.id, "Once more")))
      assert.strictEqual((again as { code?: string }).code, "resolved")
    })
  )

  it.effect("settles_what_nobody_knew_takes_back_what_was_returned_and_books_late_successes_aside", () =>
    Effect.gen(function* () {
      const city = yield* openTreasury()
      const citizen = yield* city.citizen
      const [unknown, returned, failed] = [
        yield* city.reward(citizen.id!, 100n),
        yield* city.reward(citizen.id!, 20n),
        yield* city.reward(citizen.id!, 3n)
      ]
      yield* city.control.next("lost-after")
      assert.strictEqual(yield* city.pay(unknown), "unknown")
      assert.strictEqual(yield* city.pay(returned), "succeeded")
      yield* city.control.giveBack(returned)
      yield* city.control.next("declined")
      assert.strictEqual(yield* city.pay(failed), "failed")
      const late: RegisterLine = {
        id: failed,
        reference: "late",
        money: { amount: 3n, currency: "UZS" },
        state: "succeeded",
        at: Date.now()
      }
      for (let times = 0; times < 2; times++) yield* reconciled((lines) => [...lines, late])
      assert.deepEqual(
        [yield* city.stateOf(unknown), yield* city.stateOf(returned), yield* city.stateOf(failed)],
        ["succeeded", "returned", "failed"]
      )
      const { balances, sum, unbalanced } = yield* city.books
      assert.deepEqual(balances, {
        budget: 1_000_000 - 100,
        "clearing memory": 103,
        funding: -1_000_000,
        liability: 0,
        suspense: -3
      })
      assert.deepEqual([sum, unbalanced], [0, []])
      const open = yield* city.inside(listDifferences({ ...all, open: true }))
      assert.deepEqual(
        open.map(({ kind }) => kind),
        ["late-success"]
      )
    })
  )

  it.effect("that_cannot_be_read_is_said_to_be_unread_and_shows_nothing_as_missing", () =>
    Effect.gen(function* () {
      const city = yield* openTreasury()
      const citizen = yield* city.citizen
      yield* city.pay(yield* city.reward(citizen.id!, 100n))
      const rail = yield* Payments
      const message = "The register came incomplete."
      const away = new PaymentsError({
        reason: "Unavailable",
        operation: "register",
        subject: "d",
        message,
        retryable: true
      })
      assert.isFalse(yield* reconcileDay("memory", { ...rail, register: () => Stream.fail(away) }, today()))
      assert.deepEqual(yield* city.inside(listDifferences(all)), [])
      const [run] = yield* city.inside(listReconciliations(null, null))
      assert.strictEqual(run!.trouble, message)
    })
  )
})
