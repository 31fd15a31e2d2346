/**
 * Whatever goes wrong at the gateway, in whatever order a payment is sent, asked for and sent again, and however often the gateway is
 * killed: it is paid once or not at all, and outcomes, register and wire agree. `MAHALLA_SOAK=1` runs 500 rounds.
 */
import { Payments } from "@mahalla/core/plugin"
import * as fc from "fast-check"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { expect, it } from "vitest"
import { faultNames, type FaultRates } from "./simulator/faults.ts"
import { drive, request } from "./test/drive.ts"
import { admin, effectsOf, rail, start, stop, temporary } from "./test/simulator.ts"

const rounds = process.env["MAHALLA_SOAK"] === "1" ? 500 : 4
const day = 86_400_000

/** Everything may happen except that the register lies: it is what the outcomes are held against. */
const rates = Object.fromEntries(
  faultNames.map((name) => [name, /^register-(missing|extra|shifted|scaled)$/.test(name) ? 0 : 0.04])
) as FaultRates

const booked = (payments: Payments["Service"]) =>
  Effect.forEach([-day, 0, day], (shift) =>
    Stream.runCollect(payments.register(new Date(Date.now() + shift).toISOString().slice(0, 10))).pipe(
      Effect.eventually
    )
  ).pipe(Effect.map((days) => days.flatMap((lines) => Array.from(lines))))

it(
  "pays_every_id_once_or_not_at_all_under_every_schedule_of_faults",
  async () => {
    const round = fc.record({
      seed: fc.integer({ min: 1, max: 1_000_000 }),
      payments: fc.integer({ min: 4, max: 12 }),
      kills: fc.integer({ min: 0, max: 2 }),
      again: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 })
    })
    await fc.assert(
      fc.asyncProperty(round, async ({ again, kills, payments: count, seed }) => {
        const data = `${temporary()}/kash.ndjson`
        const times = ["--settle", "60", "--slow", "600", "--seed", `${seed}`]
        let simulator = await start(data, ...times)
        const { url } = simulator
        const faulty = () => admin(url, "PUT", "faults", { rates })
        await faulty()
        const asked = Array.from({ length: count }, () => request())
        const sent = new Map<string, Set<string>>()
        const capture = ({ body, url: to }: { readonly body: string | Uint8Array; readonly url: string }) => {
          const [, id] = /payments\/([^/]+)$/.exec(to) ?? []
          if (id !== undefined) sent.set(id, (sent.get(id) ?? new Set()).add(String(body)))
        }
        const killing = (async () => {
          for (let kill = 0; kill < kills; kill++) {
            await new Promise((resolve) => setTimeout(resolve, 40))
            await stop(simulator, "SIGKILL")
            simulator = await start(data, ...times, "--port", new URL(url).port)
            await faulty()
          }
        })()
        await Effect.runPromise(
          Effect.flatMap(Payments, (payments) =>
            Effect.gen(function* () {
              const ends = yield* Effect.forEach(asked, (one) => drive(payments, one, again), { concurrency: 4 })
              yield* Effect.promise(() => killing)
              yield* Effect.promise(() => admin(url, "POST", "settle"))
              const effects = yield* Effect.promise(() => effectsOf(url))
              expect(asked.map(({ id }) => effects[id])).toEqual(ends.map((end) => (end === "succeeded" ? 1 : 0)))
              // One body per id, and no id that nobody asked for.
              expect([...sent.keys()].toSorted()).toEqual(asked.map(({ id }) => id).toSorted())
              expect([...sent.values()].map((bodies) => bodies.size)).toEqual(asked.map(() => 1))
              const lines = yield* booked(payments)
              const paid = lines.filter((line) => line.state === "succeeded")
              expect(paid.map((line) => line.id).toSorted()).toEqual(
                asked
                  .filter((_, place) => ends[place] === "succeeded")
                  .map(({ id }) => id)
                  .toSorted()
              )
              expect(new Set(lines.map((line) => line.money.amount))).toEqual(
                new Set(paid.length === 0 ? [] : [5_000_000n])
              )
            })
          ).pipe(Effect.provide(rail(url, { timeout: 300 }, { capture })))
        )
        await stop(simulator)
      }),
      { numRuns: rounds, endOnFailure: true }
    )
    // A round takes two seconds, and ten times as long on a machine that does other things.
  },
  Math.max(180_000, rounds * 20_000)
)

it("never_settles_an_unknown_by_itself_and_says_the_same_for_ever", async () => {
  const { url } = await start(`${temporary()}/kash.ndjson`, "--settle", "600000")
  const asked = request()
  const states = await Effect.runPromise(
    Effect.flatMap(Payments, (payments) =>
      Effect.gen(function* () {
        yield* Effect.promise(() => admin(url, "PUT", "faults", { next: ["late"] }))
        const first = yield* payments.pay(asked)
        const asks = yield* Effect.forEach([1, 2, 3], () => payments.status(asked.id))
        yield* Effect.promise(() => admin(url, "POST", "settle"))
        return [first, ...asks, yield* payments.status(asked.id)].map(({ state }) => state)
      })
    ).pipe(Effect.provide(rail(url)))
  )
  expect(states).toEqual(["unknown", "not-found", "not-found", "not-found", "succeeded"])
  expect(await effectsOf(url)).toEqual({ [asked.id]: 1 })
})
