import { Payments, PaymentsError } from "@mahalla/core/plugin"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { beforeAll } from "vitest"
import { canned, type Canned } from "./test/canned.ts"
import { drive, request } from "./test/drive.ts"
import { admin, effectsOf, rail, type Simulator, start, temporary } from "./test/simulator.ts"
import { responses } from "./wire.ts"

let simulator: Simulator
beforeAll(async () => {
  simulator = await start(`${temporary()}/uzcard.ndjson`, "--slow", "2000", "--settle", "600000")
})

const next = (...faults: ReadonlyArray<string>) =>
  Effect.promise(() => admin(simulator.url, "PUT", "faults", { next: faults }))
const withRail = <A, E>(use: (payments: Payments["Service"]) => Effect.Effect<A, E>, url = simulator.url) =>
  Effect.flatMap(Payments, use).pipe(Effect.provide(rail(url)))

type Asked = ReturnType<typeof request>

/** What `pay`, or another call, makes of an answer: a state, or the reason of an error. */
const judged = (
  answer: (asked: Asked) => Canned,
  call: (payments: Payments["Service"], asked: Asked) => Effect.Effect<{ readonly state: string }, PaymentsError> = (
    payments,
    asked
  ) => payments.pay(asked)
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const asked = request()
      const url = yield* canned(answer(asked))
      const outcome = yield* Effect.result(withRail((payments) => call(payments, asked), url))
      if (outcome._tag === "Success") return outcome.success.state
      return outcome.failure instanceof PaymentsError ? outcome.failure.reason : "no PaymentsError"
    })
  )

const transaction = (asked: Asked, change: object = {}) => ({
  id: "1",
  ext: asked.id,
  pan: "8600123412341234",
  refNum: "900000000001",
  amount: 5_000_000,
  currency: "860",
  status: "OK",
  resp: 0,
  ...change
})
const made =
  (change: object, envelope: object = {}) =>
  (asked: Asked): Canned => ({
    body: JSON.stringify({ jsonrpc: "2.0", id: asked.id, result: transaction(asked, change), ...envelope })
  })
const error = (code: number) => (asked: Asked) => ({
  body: JSON.stringify({ jsonrpc: "2.0", id: asked.id, error: { code, message: "8600123412341234" } })
})

describe("answers", () => {
  it.live("mean_failed_only_with_a_response_code_that_is_final", () =>
    Effect.gen(function* () {
      for (const [resp, { final }] of Object.entries(responses))
        assert.strictEqual(
          yield* judged(made({ status: "ERR", resp: Number(resp), refNum: "000000000000" })),
          final ? "failed" : "unknown",
          resp
        )
      // What is not in the table, and what contradicts itself.
      for (const change of [
        { status: "ERR", resp: 0 },
        { status: "ERR", resp: -1 },
        { status: "ERR", resp: 4711 },
        { status: "OK", resp: 51 },
        { status: "error", resp: 51 },
        { status: "toString", resp: 51 },
        { status: "", resp: 51 }
      ])
        assert.strictEqual(yield* judged(made(change)), "unknown", JSON.stringify(change))
      assert.isTrue(responses[51]?.final)
      assert.isFalse(responses[68]?.final)
    })
  )

  it.live("mean_made_only_with_a_real_reference", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* judged(made({})), "succeeded")
      assert.strictEqual(yield* judged(made({ status: "ROK" })), "succeeded")
      assert.strictEqual(yield* judged(made({ status: "PRC", resp: 9, refNum: "000000000000" })), "pending")
      for (const refNum of ["000000000000", "", "0", "90000000000", "9000000000011", "ref-1", null])
        assert.strictEqual(yield* judged(made({ refNum })), "unknown", String(refNum))
    })
  )

  it.live("about_another_id_call_amount_or_currency_are_not_believed", () =>
    Effect.gen(function* () {
      for (const change of [
        { ext: "00000000-0000-4000-8000-000000000000" },
        { amount: 500_000_000 },
        { amount: 50_000 },
        { amount: "5000000" },
        { currency: "840" },
        { currency: "UZS" }
      ])
        assert.strictEqual(yield* judged(made(change)), "unknown", JSON.stringify(change))
      for (const id of ["0", 1, null]) assert.strictEqual(yield* judged(made({}, { id })), "unknown", String(id))
    })
  )

  it.live("that_no_gateway_should_give_are_unknown_and_only_those_of_the_contract_are_errors", () =>
    Effect.gen(function* () {
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
        [{ status: 503, body: "" }, "unknown"],
        [{ status: 401, body: "" }, "Unauthorized"],
        [{ status: 403, body: "<html>Forbidden</html>" }, "Unauthorized"],
        [{ status: 429, headers: { "retry-after": "30" }, body: "" }, "RateLimited"]
      ]
      for (const [answer, expected] of cases)
        assert.strictEqual(yield* judged(() => answer), expected, `${answer.status} ${answer.body.slice(0, 40)}`)
      for (const [code, expected] of [
        [-32700, "InvalidRequest"],
        [-32600, "InvalidRequest"],
        [-32601, "InvalidRequest"],
        [-32602, "InvalidRequest"],
        [-200, "InvalidRequest"],
        [-261, "InvalidRequest"],
        [-32050, "Unavailable"],
        [-32603, "unknown"],
        [-199, "unknown"],
        [-404, "unknown"],
        [-2_222_222, "unknown"],
        [0, "unknown"]
      ] as const)
        assert.strictEqual(yield* judged(error(code)), expected, String(code))
    })
  )

  it.live("of_two_payments_under_one_id_are_not_believed", () =>
    Effect.gen(function* () {
      const twice = (asked: Asked): Canned => ({
        body: JSON.stringify({ id: asked.id, result: [transaction(asked), transaction(asked, { id: "2" })] })
      })
      const none = (asked: Asked): Canned => ({ body: JSON.stringify({ id: asked.id, result: [] }) })
      const status = (payments: Payments["Service"], asked: Asked) => payments.status(asked.id)
      assert.strictEqual(yield* judged(twice, status), "unknown")
      assert.strictEqual(yield* judged(none, status), "not-found")
      assert.strictEqual(yield* judged(error(-404), status), "not-found")
      assert.strictEqual(yield* judged(error(-199), status), "Unavailable")
      assert.strictEqual(yield* judged(() => ({ status: 404, body: "<html>" }), status), "unknown")
    })
  )
})

describe("simulator", () => {
  it.live("that_misbehaves_leaves_unknown_and_has_paid_once_at_most", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        const faults = ["reset-before", "html", "wrong-amount", "wrong-call", "odd-resp", "no-reference", "slow"]
        for (const fault of faults) {
          const asked = request()
          yield* next(fault)
          assert.strictEqual((yield* payments.pay(asked)).state, "unknown", fault)
          assert.strictEqual(yield* drive(payments, asked), "succeeded", fault)
          assert.strictEqual((yield* Effect.promise(() => effectsOf(simulator.url)))[asked.id], 1, fault)
        }
      })
    )
  )

  it.live("refuses_a_repeat_and_the_first_credit_is_asked_for", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        const asked = request()
        const first = yield* payments.pay(asked)
        // The look-up after the refusal is lost, and then it is answered.
        yield* next("status-lost")
        assert.strictEqual((yield* payments.pay(asked)).state, "unknown")
        assert.deepEqual(yield* payments.pay(asked), first)
        for (const other of [{ memo: "Other" }, { payee: { kind: "card-token", value: "tok_other" } as const }])
          assert.strictEqual((yield* Effect.flip(payments.pay({ ...asked, ...other }))).reason, "InvalidRequest")
        assert.strictEqual((yield* Effect.promise(() => effectsOf(simulator.url)))[asked.id], 1)
      })
    )
  )

  it.live("that_loses_answers_gets_the_same_bytes_under_the_same_id", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        const asked = request()
        yield* next("lost-before", "lost-after")
        const states = yield* Effect.forEach([1, 2, 3], () => Effect.map(payments.pay(asked), ({ state }) => state))
        assert.deepEqual(states, ["unknown", "unknown", "succeeded"])
        const came = (yield* Effect.promise(() => admin(simulator.url, "GET", "asked"))) as Array<object>
        const [first, ...others] = came.slice(-3)
        assert.deepInclude(first, { id: asked.id, method: "p2p.universal.credit" })
        assert.deepEqual(others, [first, first])
      })
    )
  )

  it.live("that_cannot_be_believed_about_the_status_settles_nothing", () =>
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
      })
    )
  )

  it.live("takes_back_once_whatever_it_says", () =>
    withRail((payments) =>
      Effect.gen(function* () {
        const reverse = payments.reverse!
        for (const fault of ["reverse-lost", "reverse-odd"]) {
          const asked = request()
          const paid = yield* payments.pay(asked)
          yield* next(fault)
          assert.strictEqual((yield* reverse(asked.id)).state, "unknown", fault)
          assert.strictEqual((yield* reverse(asked.id)).state, "succeeded", fault)
          assert.deepEqual(yield* payments.status(asked.id), paid, fault)
        }
        const waiting = request()
        yield* next("pending-success")
        yield* payments.pay(waiting)
        assert.strictEqual((yield* Effect.flip(reverse(waiting.id))).reason, "Unavailable")
        const declined = request()
        yield* next("declined")
        yield* payments.pay(declined)
        assert.strictEqual((yield* Effect.flip(reverse(declined.id))).reason, "InvalidRequest")
      })
    )
  )
})
