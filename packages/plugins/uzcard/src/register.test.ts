import { Payments } from "@mahalla/core/plugin"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { canned } from "./test/canned.ts"
import { request } from "./test/drive.ts"
import { admin, rail, start, temporary } from "./test/simulator.ts"

const day = 86_400_000
const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10)
const register = (payments: Payments["Service"], at: number) =>
  Effect.map(Stream.runCollect(payments.register(dayOf(at))), (lines) => Array.from(lines))

const withSimulator = <A, E>(
  use: (
    payments: Payments["Service"],
    next: (...faults: Array<string>) => Effect.Effect<unknown>
  ) => Effect.Effect<A, E>,
  ...args: ReadonlyArray<string>
) =>
  Effect.gen(function* () {
    const { url } = yield* Effect.promise(() => start(`${temporary()}/uzcard.ndjson`, ...args))
    const next = (...faults: Array<string>) => Effect.promise(() => admin(url, "PUT", "faults", { next: faults }))
    return yield* Effect.flatMap(Payments, (payments) => use(payments, next)).pipe(Effect.provide(rail(url)))
  })

describe("register", () => {
  it.live("holds_a_utc_day_out_of_the_days_of_tashkent", () =>
    Effect.gen(function* () {
      const today = Date.parse(dayOf(Date.now()))
      // In Tashkent 04:30 and 05:00 of that day, 23:30, and 00:30, 04:30 and 05:00 of the next one.
      for (const [hour, shift] of [
        [-0.5, -day],
        [0, 0],
        [18.5, 0],
        [19.5, 0],
        [23.5, 0],
        [24, day]
      ] as const) {
        const at = today + hour * 3_600_000
        const skew = Math.round(at - Date.now())
        yield* withSimulator(
          (payments, next) =>
            Effect.gen(function* () {
              const asked = request()
              yield* next("clock-skew")
              yield* payments.pay(asked)
              const found = []
              for (const days of [-day, 0, day])
                for (const line of yield* register(payments, today + days)) found.push([line.id, dayOf(line.at), days])
              assert.deepEqual(found, [[asked.id, dayOf(today + shift), shift]], `${hour}`)
            }),
          `--skew=${skew}`
        )
      }
    })
  )

  it.live("comes_whole_over_several_pages_or_not_at_all", () =>
    withSimulator((payments, next) =>
      Effect.gen(function* () {
        const asked = Array.from({ length: 120 }, () => request())
        yield* Effect.forEach(asked, (one) => payments.pay(one), { concurrency: 8 })
        const now = Date.now()
        const lines = [...(yield* register(payments, now - 60_000)), ...(yield* register(payments, now))]
        assert.deepEqual(new Set(lines.map(({ id }) => id)), new Set(asked.map(({ id }) => id)))
        for (const fault of ["register-truncated", "register-malformed"]) {
          yield* next(fault)
          assert.strictEqual((yield* Effect.flip(register(payments, now))).reason, "Unavailable", fault)
        }
      })
    )
  )

  it.live("tells_what_the_gateway_says_where_lines_are_missing_extra_shifted_or_mis_scaled", () =>
    withSimulator((payments, next) =>
      Effect.gen(function* () {
        const asked = request()
        yield* payments.pay(asked)
        const declined = request()
        yield* next("declined")
        yield* payments.pay(declined)
        const seen = (fault: string, shift = 0) =>
          Effect.gen(function* () {
            yield* next(...(fault === "" ? [] : [fault]))
            const lines = yield* register(payments, Date.now() + shift)
            return lines.map(({ id, money }) => [id === asked.id, money.amount])
          })
        assert.deepEqual(yield* seen(""), [[true, 5_000_000n]])
        assert.deepEqual(yield* seen("register-missing"), [])
        assert.deepEqual(yield* seen("register-extra"), [
          [true, 5_000_000n],
          [false, 5_000_000n]
        ])
        assert.deepEqual(yield* seen("register-scaled"), [[true, 500_000_000n]])
        assert.deepEqual(yield* seen("register-shifted"), [])
        assert.deepEqual(yield* seen("register-shifted", day), [[true, 5_000_000n]])
      })
    )
  )

  it.live("that_cannot_be_read_to_its_last_line_is_none", () =>
    Effect.gen(function* () {
      const good = {
        tranType: "CREDIT",
        ext: "a",
        refNum: "900000000001",
        amount: 1,
        currency: "860",
        status: "OK",
        terminalId: "91419475",
        date12: "261120120000"
      }
      const page = { range: { from: "20261120", to: "20261121" }, pageNumber: 0, total: 1, trans: [good] }
      const asked = (result: object) =>
        Effect.scoped(
          Effect.gen(function* () {
            const url = yield* canned({
              body: JSON.stringify({ id: "report 2026-11-20 0", result: { ...page, ...result } })
            })
            const layer = rail(url)
            const read = Effect.flatMap(Payments, (payments) => Stream.runCollect(payments.register("2026-11-20")))
            const outcome = yield* Effect.result(Effect.provide(read, layer))
            return outcome._tag === "Success" ? Array.from(outcome.success).length : "none"
          })
        )
      assert.strictEqual(yield* asked({}), 1)
      // Another terminal's, another kind's, and a credit that was not made are no lines of ours.
      for (const line of [{ terminalId: "1" }, { tranType: "DEBIT" }, { status: "ERR" }, { status: "PRC" }])
        assert.strictEqual(yield* asked({ trans: [{ ...good, ...line }] }), 0)
      for (const line of [{ status: "HM" }, { date12: "261320120000" }, { amount: "1" }, { ext: undefined }])
        assert.strictEqual(yield* asked({ trans: [{ ...good, ...line }] }), "none")
      for (const result of [
        { total: 2 },
        { total: 0 },
        { pageNumber: 1 },
        { range: { from: "20261119", to: "20261120" } },
        { trans: [] },
        { trans: "none" }
      ])
        assert.strictEqual(yield* asked(result), "none", JSON.stringify(result))
    })
  )
})
