import { readdirSync, readFileSync } from "node:fs"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import { type OutwardRequest, Payments, type PaymentsError, type PluginError } from "@mahalla/core/plugin"
import { cardNumbersIn } from "@mahalla/core/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { canned } from "./test/canned.ts"
import { request } from "./test/drive.ts"
import { admin, cardNumber, fillIn, password, rail, start, submit, temporary, user } from "./test/simulator.ts"

const form = (change: object = {}) => ({
  id: randomUUID(),
  returnTo: "https://city.example/cards",
  language: "ru",
  ...change
})
const use = <A, E>(url: string, ask: (payments: Payments["Service"]) => Effect.Effect<A, E>, around = {}) =>
  Effect.flatMap(Payments, ask).pipe(Effect.provide(rail(url, {}, around)))

/** What `boundCard` makes of an answer about a form. */
const binding = (result: (id: string) => object) =>
  Effect.scoped(
    Effect.gen(function* () {
      const id = randomUUID()
      const url = yield* canned({ body: JSON.stringify({ id, result: result(id) }) })
      return yield* use(url, (payments) => payments.boundCard!(id))
    })
  )

describe("cards", () => {
  it.live("are_typed_into_the_gateways_page_and_nowhere_else", () =>
    Effect.gen(function* () {
      const folder = temporary()
      const simulator = yield* Effect.promise(() => start(join(folder, "uzcard.ndjson")))
      const numbers = Array.from({ length: 5 }, cardNumber)
      const sent: Array<OutwardRequest> = []
      /** Numbers in the population register: fourteen digits, which may look like a card's. */
      const owners: Array<string> = []
      const said = yield* use(
        simulator.url,
        (payments) =>
          Effect.gen(function* () {
            const told: Array<unknown> = []
            for (const number of numbers) {
              const asked = form()
              const { url } = yield* payments.bindCard!(asked)
              const spaced = number.replaceAll(/(\d{4})(?=\d)/g, "$1 ")
              const owner = yield* Effect.promise(() => fillIn(simulator.url, url, spaced))
              owners.push(owner)
              const bound = yield* payments.boundCard!(asked.id)
              assert.deepInclude(bound, { state: "bound", masked: `${number.slice(0, 6)}******${number.slice(-4)}` })
              const token = bound.state === "bound" ? bound.token : ""
              assert.isTrue(yield* payments.cardBelongsTo!(token, owner))
              told.push(bound, yield* payments.pay(request({ payee: { kind: "card-token", value: token } })))
              told.push(yield* Effect.flip(payments.pay(request({ payee: { kind: "card-token", value: number } }))))
              told.push(yield* Effect.flip(payments.cardBelongsTo!(number, owner)))
            }
            return told
          }),
        { capture: (one: OutwardRequest) => sent.push(one) }
      )
      const disk = readdirSync(folder).map((file) => readFileSync(join(folder, file), "latin1"))
      assert.isTrue(disk.some((text) => text.includes(`${numbers[0]!.slice(0, 6)}******`)))
      // What we sent, what we were told, what the simulator wrote: no card number, nor the digits in its middle.
      for (const text of [
        ...disk,
        simulator.log(),
        JSON.stringify(sent),
        JSON.stringify(said),
        said.map(String).join()
      ]) {
        assert.deepEqual(
          cardNumbersIn(text).filter((found) => !owners.includes(found)),
          []
        )
        for (const number of numbers) assert.notInclude(text.replaceAll(/[ -]/g, ""), number.slice(3, 14))
      }
      for (const text of [...disk, simulator.log(), JSON.stringify(said)]) assert.notInclude(text, password)
    })
  )

  it.live("whose_code_is_wrong_three_times_are_not_bound_and_a_used_form_is_over", () =>
    Effect.gen(function* () {
      const simulator = yield* Effect.promise(() => start(`${temporary()}/uzcard.ndjson`))
      yield* use(simulator.url, (payments) =>
        Effect.gen(function* () {
          const asked = form()
          const { url } = yield* payments.bindCard!(asked)
          const post = (step: "card" | "code", typed: Record<string, string>) =>
            Effect.promise(() => submit(url, step, typed))
          const number = cardNumber()
          for (const typed of [
            { number: number.slice(1), expiry: "12/29" },
            { number: `${number.slice(0, 15)}${(Number(number[15]) + 1) % 10}`, expiry: "12/29" },
            { number, expiry: "13/29" }
          ])
            assert.strictEqual((yield* post("card", typed)).status, 422)
          assert.deepEqual(yield* payments.boundCard!(asked.id), { state: "waiting" })
          assert.strictEqual((yield* post("card", { number, expiry: "12/29" })).status, 200)
          const { code } = (yield* Effect.promise(() =>
            admin(simulator.url, "GET", `forms/${url.slice(url.lastIndexOf("/") + 1)}`)
          )) as { readonly code: string }
          const wrong = { code: code === "000000" ? "000001" : "000000" }
          assert.deepEqual([(yield* post("code", wrong)).status, (yield* post("code", wrong)).status], [422, 422])
          assert.strictEqual((yield* post("code", wrong)).status, 303)
          assert.strictEqual((yield* payments.boundCard!(asked.id)).state, "failed")
          assert.strictEqual((yield* Effect.promise(() => fetch(url))).status, 410)
        })
      )
    })
  )

  it.live("that_the_gateway_shows_in_full_are_masked_and_a_number_for_a_token_is_refused", () =>
    Effect.gen(function* () {
      const done = (card: object) => binding((ext) => ({ ext, state: "DONE", card }))
      for (const pan of ["8600123412341234", "8600 1234 1234 1234", "860012******1234", "860012XXXXXX1234"])
        assert.deepEqual(yield* done({ id: "tok_1", pan }), {
          state: "bound",
          token: "tok_1",
          masked: "860012******1234"
        })
      assert.strictEqual((yield* done({ id: "4242424242424242", pan: "424242******4242" })).state, "failed")
      assert.strictEqual((yield* binding((ext) => ({ ext, state: "EXPIRED" }))).state, "failed")
      const other = yield* Effect.flip(binding(() => ({ ext: randomUUID(), state: "NEW" })))
      assert.strictEqual((other as PaymentsError).reason, "Unavailable")
    })
  )

  it.live("are_sent_to_no_form_without_a_safe_address", () =>
    Effect.gen(function* () {
      const asked = form()
      for (const [url, mode, safe] of [
        ["https://svgate.example/form/1", "dev", true],
        ["http://svgate.example/form/1", "dev", true],
        ["javascript:alert(1)", "dev", false],
        ["/form/1", "dev", false]
      ] as const) {
        const expires = "2026-11-20T12:00:00Z"
        const gateway = yield* canned({
          body: JSON.stringify({ id: asked.id, result: { ext: asked.id, url, expires } })
        })
        const made = yield* Effect.result(use(gateway, (payments) => payments.bindCard!(asked), { mode }))
        assert.strictEqual(made._tag === "Success", safe, url)
      }
    }).pipe(Effect.scoped)
  )
})

describe("secrets", () => {
  it.live("leave_in_clear_in_no_production_to_no_address_that_the_city_forbids_and_into_no_error", () =>
    Effect.gen(function* () {
      const production = yield* Effect.flip(Layer.build(rail("http://127.0.0.1:9", {}, { mode: "production" })))
      assert.include((production as PluginError).message, "https")
      const pay = (payments: Payments["Service"]) => payments.pay(request())
      const forbidden = (yield* Effect.flip(use("http://10.255.255.1:1", pay))) as PaymentsError
      assert.strictEqual(forbidden.reason, "Unauthorized")
      const closed = (yield* Effect.flip(use("http://127.0.0.1:9", pay))) as PaymentsError
      assert.deepInclude(closed, { reason: "Unavailable", retryable: true })
      const config = yield* Effect.flip(Layer.build(rail("ftp://svgate.example", { password: "short", fee: -1 })))
      assert.match((config as PluginError).message, /url.*password.*fee/)
      const basic = Buffer.from(`${user}:${password}`).toString("base64")
      for (const error of [production, forbidden, closed, config])
        for (const secret of [password, basic, "short"])
          assert.notInclude(
            `${String(error)} ${JSON.stringify(error)} ${String((error as PaymentsError).cause)}`,
            secret
          )
    }).pipe(Effect.scoped)
  )
})

describe("fee", () => {
  it.live("is_rounded_up_to_a_tiyin_and_costs_nothing_to_ask_for", () =>
    Effect.gen(function* () {
      const simulator = yield* Effect.promise(() => start(`${temporary()}/uzcard.ndjson`))
      const quoted = (fee: number, amount: bigint) =>
        Effect.flatMap(Payments, (payments) =>
          payments.quote({ ...request(), money: { amount, currency: "UZS" } })
        ).pipe(Effect.provide(rail(simulator.url, { fee })))
      for (const [fee, amount, cost] of [
        [0, 5_000_000n, 0n],
        [30, 1_000_000n, 3_000n],
        [30, 1n, 1n],
        [1, 10_000n, 1n],
        [1, 10_001n, 2n]
      ] as const)
        assert.deepEqual((yield* quoted(fee, amount)).fee, { amount: cost, currency: "UZS" })
      assert.deepEqual(yield* Effect.promise(() => admin(simulator.url, "GET", "effects")), {})
    })
  )
})
