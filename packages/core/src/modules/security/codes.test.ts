import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import type { CodeLimits } from "../../kernel/limits/codeLimits.ts"
import { outcome } from "../../test/caseRooms.ts"
import { alertsOf, onADay, securityRooms } from "../../test/securityRooms.ts"
import { createTenant } from "../../testing/kernel.ts"
import { codeUsed, guardCode, signInFailed } from "./codes.ts"

const phoneAt = (number: number, prefix = "+99890123") => `${prefix}${String(number).padStart(4, "0")}`
const addressAt = (number: number) => `198.51.${Math.floor(number / 250)}.${number % 250}`

/** A tenant with its limits changed, and the way to ask for a code there. */
const start = Effect.fnUntraced(function* (codes: Partial<CodeLimits> = {}) {
  const tenant = yield* createTenant({ settings: { codes } })
  let made = 0
  const ask = (phone: string, ip: string, device?: string) =>
    outcome(guardCode({ tenant, phone, ip, device })(Effect.sync(() => ++made)))
  return { tenant, ask, made: () => made, alerts: alertsOf(tenant.tenantId) }
})

const count = (outcomes: ReadonlyArray<string>, wanted: string) => outcomes.filter((one) => one === wanted).length

layer(securityRooms(inject("postgresUrl")), { excludeTestServices: true })("codes", (it) => {
  it.effect("case_15_SMS_pumping_a_thousand_numbers_of_one_prefix_from_many_addresses_get_sixty", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, ask, made } = yield* start()
        const outcomes = yield* Effect.forEach(
          Array.from({ length: 1_000 }, (_, n) => n),
          (n) => ask(phoneAt(n), addressAt(n)),
          { concurrency: 16 }
        )
        assert.strictEqual(count(outcomes, "ok"), 60)
        assert.strictEqual(made(), 60)
        assert.strictEqual(count(outcomes, "TooManyRequests"), 940)
        const [alert, ...others] = yield* alerts
        assert.deepInclude(alert, { kind: "code-flood", originator: "+99890123", severity: "high", times: 940 })
        assert.deepEqual(others, [])
      })
    )
  )

  it.effect("case_15_SMS_pumping_over_many_prefixes_ends_at_the_countrys_and_the_citys_share", () =>
    onADay(
      Effect.gen(function* () {
        const one = yield* start({ perCountry: 30 })
        const other = yield* start({ countries: ["UZ", "KZ"], perCountry: 30, perTenant: 40 })
        const numbers = Array.from({ length: 60 }, (_, n) => n)
        const uzbek = (n: number) => phoneAt(n, `+998901${String(n).padStart(2, "0")}`)
        const first = yield* Effect.forEach(numbers, (n) => one.ask(uzbek(n), addressAt(n)))
        assert.strictEqual(count(first, "ok"), 30)
        const kazakh = (n: number) => phoneAt(n, `+7701${String(n).padStart(3, "0")}`)
        for (const numberAt of [uzbek, kazakh])
          yield* Effect.forEach(numbers, (n) => other.ask(numberAt(n), addressAt(n)))
        assert.strictEqual(other.made(), 40)
        const of = (alerts: ReadonlyArray<{ originator: string }>) => alerts.map(({ originator }) => originator)
        assert.deepEqual(of(yield* one.alerts), ["UZ"])
        assert.deepEqual(of(yield* other.alerts), ["UZ", "the whole city", "KZ"])
      })
    )
  )

  it.effect("case_15_SMS_pumping_stops_at_the_days_money_and_goes_on_after_midnight_there", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, ask, made } = yield* start({ price: 150, moneyPerDay: 1_000 })
        const numbers = Array.from({ length: 30 }, (_, n) => n)
        yield* Effect.forEach(numbers, (n) => ask(phoneAt(n), addressAt(n)), { concurrency: 8 })
        assert.strictEqual(made(), 6)
        assert.deepInclude((yield* alerts)[0], { kind: "code-money", severity: "critical", times: 24 })
        // Eleven in the morning in Tashkent: thirteen hours are left of the day.
        yield* TestClock.adjust(46_740_000)
        assert.strictEqual(yield* ask(phoneAt(100), addressAt(100)), "TooManyRequests")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* ask(phoneAt(101), addressAt(101)), "ok")
      })
    )
  )

  it.effect("give_the_money_back_when_no_code_was_made", () =>
    onADay(
      Effect.gen(function* () {
        const { tenant, ask } = yield* start({ price: 1, moneyPerDay: 1 })
        const refused = guardCode({ tenant, phone: phoneAt(1), ip: addressAt(1) })(Effect.fail({ _tag: "Pause" }))
        assert.strictEqual(yield* outcome(refused), "Pause")
        assert.strictEqual(yield* ask(phoneAt(2), addressAt(2)), "ok")
        assert.strictEqual(yield* ask(phoneAt(3), addressAt(3)), "TooManyRequests")
      })
    )
  )

  it.effect("case_15_SMS_pumping_a_prefix_whose_codes_nobody_uses_is_paused_and_staff_told", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, ask } = yield* start()
        for (let n = 0; n < 20; n++) assert.strictEqual(yield* ask(phoneAt(n), addressAt(n)), "ok")
        assert.deepEqual(yield* alerts, [])
        // Until the codes have run out nobody can say that they are not used.
        yield* TestClock.adjust("12 minutes")
        assert.strictEqual(yield* ask(phoneAt(100), addressAt(100)), "ok")
        assert.deepInclude((yield* alerts)[0], { kind: "prefix-paused", originator: "+99890123", times: 1 })
        assert.strictEqual(yield* ask(phoneAt(101), addressAt(101)), "TooManyRequests")
        assert.strictEqual(yield* ask(phoneAt(1, "+99891123"), addressAt(102)), "ok")
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* ask(phoneAt(103), addressAt(103)), "ok")
        assert.strictEqual(yield* ask(phoneAt(104), addressAt(104)), "ok")
      })
    )
  )

  it.effect("go_on_to_a_prefix_whose_codes_are_used", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, ask, tenant } = yield* start()
        for (let n = 0; n < 20; n++) {
          yield* ask(phoneAt(n), addressAt(n))
          if (n % 5 === 0) yield* codeUsed({ tenant, phone: phoneAt(n) })
        }
        yield* TestClock.adjust("12 minutes")
        for (let n = 20; n < 30; n++) assert.strictEqual(yield* ask(phoneAt(n), addressAt(n)), "ok")
        assert.deepEqual(yield* alerts, [])
      })
    )
  )

  it.effect("go_only_to_ordinary_numbers_of_the_countries_that_the_city_names", () =>
    onADay(
      Effect.gen(function* () {
        const { ask } = yield* start()
        const wide = yield* start({ countries: ["UZ", "GB"] })
        const refused = "Refused number-not-served"
        assert.strictEqual(yield* ask("+998901234567", addressAt(1)), "ok")
        for (const phone of ["+79991234567", "+442079460000", "+15550001111", "+88212345678"])
          assert.strictEqual(yield* ask(phone, addressAt(2)), refused)
        assert.strictEqual(yield* wide.ask("+447400123456", addressAt(3)), "ok")
        // A premium number of a country that is served.
        assert.strictEqual(yield* wide.ask("+449012345678", addressAt(3)), refused)
      })
    )
  )

  it.effect("are_counted_by_address_network_device_and_number", () =>
    onADay(
      Effect.gen(function* () {
        const { ask } = yield* start({ perAddress: 3, perNetwork: 5, perDevice: 2, perPhone: 2, perPhoneDay: 3 })
        const numbers = (() => {
          let n = 0
          return () => phoneAt(n++)
        })()
        const times = (amount: number, ip: (n: number) => string, device?: string, phone?: string) =>
          Effect.map(
            Effect.forEach(
              Array.from({ length: amount }, (_, n) => n),
              (n) => ask(phone ?? numbers(), ip(n), device)
            ),
            (outcomes) => count(outcomes, "ok")
          )
        assert.strictEqual(yield* times(5, () => "203.0.113.9"), 3)
        // One subscriber's /64, then several of one site's /48.
        assert.strictEqual(yield* times(5, (n) => `2001:db8:1:2::${n}`), 3)
        assert.strictEqual(yield* times(5, (n) => `2001:db8:1:${n + 10}::1`), 2)
        assert.strictEqual(yield* times(5, addressAt, "device"), 2)
        assert.strictEqual(yield* times(5, (n) => addressAt(n + 50), undefined, "+998931112233"), 2)
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(yield* times(5, (n) => addressAt(n + 60), undefined, "+998931112233"), 1)
      })
    )
  )

  it.effect("that_are_wrong_again_and_again_alert_staff_by_number_and_by_block", () =>
    onADay(
      Effect.gen(function* () {
        const { alerts, tenant } = yield* start()
        for (let n = 0; n < 12; n++) yield* signInFailed({ tenant, phone: phoneAt(7), ip: addressAt(n * 250) })
        assert.deepEqual(
          (yield* alerts).map(({ kind, times }) => [kind, times]),
          [["failed-sign-ins", 2]]
        )
        for (let n = 0; n < 42; n++) yield* signInFailed({ tenant, phone: phoneAt(100 + n), ip: `192.0.2.${n}` })
        const [byNumber, byBlock] = yield* alerts
        assert.deepInclude(byBlock, { originator: "192.0.2.0/24", times: 2 })
        assert.notInclude(byNumber!.originator, phoneAt(7))
      })
    )
  )
})
