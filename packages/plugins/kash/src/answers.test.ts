import { readFileSync } from "node:fs"
import { cardNumbersIn } from "@mahalla/core/testing"
import { type OutwardRequest, Payments, PaymentsError, type PluginError } from "@mahalla/core/plugin"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { beforeAll } from "vitest"
import { canned, type Canned } from "./test/canned.ts"
import { drive, request } from "./test/drive.ts"
import { admin, callbackSecret, effectsOf, key, rail, type Simulator, start, temporary } from "./test/simulator.ts"
import { rejections } from "./wire.ts"

let simulator: Simulator
const data = `${temporary()}/kash.ndjson`
beforeAll(async () => {
  simulator = await start(data, "--slow", "2000", "--settle", "50", "--page", "2")
})

const next = (...faults: ReadonlyArray<string>) =>
  Effect.promise(() => admin(simulator.url, "PUT", "faults", { next: faults }))
const withRail = <A, E>(use: (payments: Payments["Service"]) => Effect.Effect<A, E>, url = simulator.url) =>
  Effect.flatMap(Payments, use).pipe(Effect.provide(rail(url)))

const about = (change: object) => (asked: { readonly id: string }) => ({
  body: JSON.stringify({
    id: asked.id,
    amount: "5000000",
    currency: "UZS",
    state: "done",
    reference: "kash-1",
    ...change
  })
})
/** What `pay` makes of an answer: a state, or the reason of an error. */
const judged = (answer: (asked: { readonly id: string }) => Canned) =>
  Effect.scoped(
    Effect.gen(function* () {
      const asked = request()
      const url = yield* canned(answer(asked))
      const outcome = yield* Effect.result(withRail((payments) => payments.pay(asked), url))
      if (outcome._tag === "Success") return outcome.success.state
      return outcome.failure instanceof PaymentsError ? outcome.failure.reason : "no PaymentsError"
    })
  )

const day = (at: number) => new Date(at).toISOString().slice(0, 10)
const register = (payments: Payments["Service"], at = Date.now()) =>
  Effect.map(Stream.runCollect(payments.register(day(at))), (lines) => Array.from(lines))

describe("answers", () => {
  it.live("mean_failed_only_with_a_code_that_the_contract_calls_final", () =>
    Effect.gen(function* () {
      for (const [code, { final }] of Object.entries(rejections))
        assert.strictEqual(yield* judged(about({ state: "rejected", code })), final ? "failed" : "unknown", code)
      for (const code of ["", "E-4711", "toString", "__proto__", "number-unknown "])
        assert.strictEqual(yield* judged(about({ state: "rejected", code })), "unknown", code)
    })
  )

  it.live("about_another_id_amount_or_currency_are_not_believed", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* judged(about({})), "succeeded")
      assert.strictEqual(yield* judged(about({ state: "returned" })), "succeeded")
      for (const change of [
        { id: "00000000-0000-4000-8000-000000000000" },
        { amount: "500000000" },
        { amount: "50000" },
        { amount: 5000000 },
        { currency: "USD" },
        { reference: "" },
        { state: "finished" }
      ])
        assert.strictEqual(yield* judged(about(change)), "unknown", JSON.stringify(change))
    })
  )

  it.live("that_no_gateway_should_give_are_unknown_and_only_those_of_the_contract_are_errors", () =>
    Effect.gen(function* () {
      const said = (status: number, code: string, headers = {}) => ({
        status,
        headers,
        body: JSON.stringify({ error: { code } })
      })
      const cases: ReadonlyArray<readonly [Canned, string]> = [
        [{ body: "<html>Maintenance</html>" }, "unknown"],
        [{ body: "" }, "unknown"],
        [{ body: "null" }, "unknown"],
        [{ body: "[".repeat(60_000) }, "unknown"],
        [{ body: `{"id":"${"x".repeat(200_000)}"}` }, "unknown"],
        [{ status: 302, headers: { location: "https://elsewhere.example/" }, body: "" }, "unknown"],
        [{ status: 404, body: "<html>nginx</html>" }, "unknown"],
        [{ status: 500, body: "" }, "unknown"],
        [{ status: 502, body: "<html>Bad gateway</html>" }, "unknown"],
        [{ status: 503, body: "<html>Unavailable</html>" }, "unknown"],
        [said(200, "internal"), "unknown"],
        [said(400, "strange"), "unknown"],
        [said(400, "invalid"), "InvalidRequest"],
        [said(422, "id-reused"), "InvalidRequest"],
        [said(401, "unauthorized"), "Unauthorized"],
        [{ status: 403, body: "<html>Forbidden</html>" }, "Unauthorized"],
        [said(429, "rate-limited", { "retry-after": "30" }), "RateLimited"],
        [said(503, "unavailable"), "Unavailable"]
      ]
      for (const [answer, expected] of cases)
        assert.strictEqual(yield* judged(() => answer), expected, `${answer.status} ${answer.body.slice(0, 40)}`)
    })
  )

  it.live("of_the_simulator_are_unknown_where_it_misbehaves_and_it_has_paid_once_at_most", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        for (const fault of ["reset-before", "html", "wrong-amount", "odd-code", "slow", "clock-skew"] as const) {
          const asked = request()
          yield* next(fault)
          const { state } = yield* payments.pay(asked)
          assert.strictEqual(state, fault === "clock-skew" ? "succeeded" : "unknown", fault)
          assert.strictEqual(yield* drive(payments, asked), "succeeded", fault)
          assert.strictEqual((yield* Effect.promise(() => effectsOf(simulator.url)))[asked.id], 1, fault)
        }
      })
    )
  )

  it.live("that_were_lost_lead_to_the_same_bytes_under_the_same_id_on_the_wire", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        const asked = request()
        yield* next("lost-before", "lost-after")
        const states = yield* Effect.forEach([1, 2, 3], () => Effect.map(payments.pay(asked), ({ state }) => state))
        assert.deepEqual(states, ["unknown", "unknown", "succeeded"])
        const came = (yield* Effect.promise(() => admin(simulator.url, "GET", "asked"))) as Array<{
          readonly id: string
        }>
        const body = { phone: "+998901234567", amount: "5000000", currency: "UZS", memo: "Reward" }
        assert.deepEqual(
          came.slice(-3),
          [1, 2, 3].map(() => ({ id: asked.id, body }))
        )
      })
    )
  )

  it.live("to_status_that_cannot_be_believed_settle_nothing", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        const asked = request()
        yield* payments.pay(asked)
        for (const fault of ["status-malformed", "status-html", "status-wrong-id"]) {
          yield* next(fault)
          assert.strictEqual((yield* payments.status(asked.id)).state, "unknown", fault)
        }
        for (const [fault, reason] of [
          ["status-lost", "Unavailable"],
          ["status-unavailable", "Unavailable"],
          ["status-rate-limited", "RateLimited"]
        ] as const) {
          yield* next(fault)
          assert.strictEqual((yield* Effect.flip(payments.status(asked.id))).reason, reason, fault)
        }
        assert.strictEqual((yield* payments.status(asked.id)).state, "succeeded")
      })
    )
  )
})

describe("register", () => {
  it.live("comes_whole_over_several_pages_or_not_at_all", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        const asked = Array.from({ length: 5 }, () => request())
        yield* Effect.forEach(asked, (one) => payments.pay(one))
        const ids = new Set((yield* register(payments)).map((line) => line.id))
        assert.isTrue(asked.every(({ id }) => ids.has(id)))
        for (const fault of ["register-truncated", "register-malformed"]) {
          yield* next(fault)
          assert.strictEqual((yield* Effect.flip(register(payments))).reason, "Unavailable", fault)
        }
      })
    )
  )

  it.live("tells_what_the_gateway_says_where_lines_are_missing_extra_shifted_or_mis_scaled", () =>
    Effect.gen(function* () {
      const fresh = yield* Effect.promise(() => start(`${temporary()}/kash.ndjson`))
      const scripted = (fault: string) =>
        Effect.promise(() => admin(fresh.url, "PUT", "faults", { next: fault === "" ? [] : [fault] }))
      yield* withRail(
        (payments) =>
          Effect.gen(function* () {
            const asked = request()
            yield* payments.pay(asked)
            const seen = (fault: string, at?: number) =>
              Effect.andThen(
                scripted(fault),
                Effect.map(register(payments, at), (lines) =>
                  lines.map(({ id, money }) => [id === asked.id, money.amount])
                )
              )
            assert.deepEqual(yield* seen(""), [[true, 5_000_000n]])
            assert.deepEqual(yield* seen("register-missing"), [])
            assert.deepEqual(yield* seen("register-extra"), [
              [true, 5_000_000n],
              [false, 5_000_000n]
            ])
            assert.deepEqual(yield* seen("register-scaled"), [[true, 500_000_000n]])
            assert.deepEqual(yield* seen("register-shifted"), [])
            assert.deepEqual(yield* seen("register-shifted", Date.now() + 86_400_000), [[true, 5_000_000n]])
          }),
        fresh.url
      )
    })
  )
})

describe("secrets", () => {
  it.live("stay_out_of_errors_and_files_and_no_card_number_is_anywhere", () =>
    Effect.gen(function* () {
      const sent: Array<OutwardRequest> = []
      const asked = request()
      const layer = rail(simulator.url, {}, { capture: (one) => sent.push(one) })
      const errors = yield* Effect.flatMap(Payments, (payments) =>
        Effect.gen(function* () {
          yield* payments.pay(asked)
          const reused = yield* Effect.flip(payments.pay({ ...asked, memo: "Other" }))
          const card = yield* Effect.flip(
            payments.pay(request({ payee: { kind: "card-token", value: "4242424242424242" } }))
          )
          return [reused, card]
        })
      ).pipe(Effect.provide(layer))
      assert.deepEqual(
        sent.map(({ headers }) => headers["authorization"]),
        [`Bearer ${key}`, `Bearer ${key}`]
      )
      const gone = yield* Effect.flip(
        Effect.provide(
          Effect.flatMap(Payments, (payments) => payments.pay(asked)),
          rail("http://127.0.0.1:9")
        )
      )
      const texts = [...errors, gone].map(
        (error) => `${String(error)} ${JSON.stringify(error)} ${String((error as PaymentsError).cause)}`
      )
      const disk = readFileSync(data, "utf8")
      for (const text of [...texts, simulator.log()])
        for (const secret of [key, callbackSecret, "901234567"]) assert.notInclude(text, secret)
      for (const text of [...texts, disk, simulator.log()]) assert.deepEqual(cardNumbersIn(text), [])
      for (const secret of [key, callbackSecret]) assert.notInclude(disk, secret)
    })
  )

  it.live("leave_in_clear_in_no_production_and_to_no_address_that_the_city_forbids", () =>
    Effect.gen(function* () {
      const production = yield* Effect.flip(Layer.build(rail(simulator.url, {}, { mode: "production" })))
      assert.include((production as PluginError).message, "https")
      const asked = request()
      const inside = rail("http://10.255.255.1:1")
      const error = yield* Effect.flip(
        Effect.flatMap(Payments, (payments) => payments.pay(asked)).pipe(Effect.provide(inside))
      )
      assert.strictEqual((error as PaymentsError).reason, "Unauthorized")
      const config = yield* Effect.flip(Layer.build(rail("ftp://kash.example", { key: "short" })))
      assert.match((config as PluginError).message, /url.*key/)
      assert.notInclude((config as PluginError).message, "short")
    }).pipe(Effect.scoped)
  )
})
