import { scryptSync } from "node:crypto"
import { monitorEventLoopDelay } from "node:perf_hooks"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { readMigration } from "../../kernel/db/Migration.ts"
import { type Database, PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import type { TooManyRequests } from "../../kernel/limits/gcra.ts"
import { layerMemoryLimiter } from "../../plugin/memoryLimiter.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { security } from "../security/index.ts"
import { makeCode, personOfPhone, tryCode } from "./codes.ts"
import { issueLink, useLink } from "./links.ts"
import { personByCode } from "./byPhone.ts"
import { codeLimits } from "./model.ts"
import { recognise } from "./devices.ts"
import { takeTotp } from "./totp.ts"

const migrations = ["0001_identity", "0002_sessions-and-factors"].map((name) =>
  readMigration("identity", new URL(`./migrations/${name}.sql`, import.meta.url))
)
const rooms = Layer.mergeAll(
  Keys.layer(Redacted.make("a secret for the tests of signing in")),
  layerMemoryLimiter,
  testKernel({
    postgresUrl: inject("postgresUrl"),
    migrations: [...security().migrations, ...migrations],
    maxConnections: 24
  })
)
const phone = "+998901234567"
const other = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, "0")

/** As when so many seconds had passed since the last code. */
const pass = (seconds: number) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        update mahalla.sign_in_code set sent_at = sent_at - make_interval(secs => ${seconds}), expires_at = expires_at - make_interval(secs => ${seconds})`
    )
  )

const start = Effect.map(createTenant(), ({ tenantId }) => {
  const inside = withTenant(tenantId)
  return {
    tenantId,
    inside,
    make: makeCode(tenantId, phone),
    attempt: (code: string, of = phone) => tryCode(tenantId, of, code)
  }
})

layer(rooms, { excludeTestServices: true })("one-time codes", (it) => {
  it.effect("open_one_session_for_twenty_who_use_the_right_one_at_once", () =>
    Effect.gen(function* () {
      const { attempt, make } = yield* start
      const { code } = yield* make
      assert.match(code, /^\d{6}$/)
      const outcomes = yield* Effect.forEach(Array.from({ length: 20 }), () => attempt(code), {
        concurrency: "unbounded"
      })
      assert.strictEqual(outcomes.filter((right) => right).length, 1)
      assert.isFalse(yield* attempt(code))
    })
  )

  it.effect("are_worth_nothing_after_five_wrong_tries", () =>
    Effect.gen(function* () {
      const one = yield* start
      const { code } = yield* one.make
      for (let wrong = 0; wrong < codeLimits.tries; wrong++) assert.isFalse(yield* one.attempt(other(code)))
      assert.isFalse(yield* one.attempt(code), "the sixth try is too late, though it is right")
      const two = yield* start
      const second = (yield* two.make).code
      for (let wrong = 0; wrong < codeLimits.tries - 1; wrong++) assert.isFalse(yield* two.attempt(other(second)))
      assert.isTrue(yield* two.attempt(second), "the fifth is not")
    })
  )

  it.effect("are_not_guessed_by_trying_many_at_once", () =>
    Effect.gen(function* () {
      const { attempt, make } = yield* start
      const { code } = yield* make
      const wrong = Array.from({ length: 60 }, (_, index) =>
        String((Number(code) + 1 + index) % 1_000_000).padStart(6, "0")
      )
      yield* Effect.forEach(wrong, (guess) => attempt(guess), { concurrency: "unbounded" })
      assert.isFalse(yield* attempt(code))
    })
  )

  it.effect("run_out_and_are_replaced_by_the_next_one", () =>
    Effect.gen(function* () {
      const { attempt, make } = yield* start
      const old = (yield* make).code
      yield* pass(codeLimits.life + 1)
      assert.isFalse(yield* attempt(old))
      const fresh = (yield* make).code
      if (old !== fresh) assert.isFalse(yield* attempt(old))
      assert.isTrue(yield* attempt(fresh))
    })
  )

  it.effect("case_14_are_of_one_phone_in_one_city_and_of_no_other_use", () =>
    Effect.gen(function* () {
      const [here, there] = [yield* start, yield* start]
      const { code } = yield* here.make
      assert.isFalse(yield* here.attempt(code, "+998901234568"))
      assert.isFalse(yield* there.attempt(code))
      const { id } = yield* createPrincipal(here.tenantId)
      assert.isFalse(yield* here.inside(takeTotp(id!, code, true)))
      assert.isTrue(yield* here.attempt(code))
      assert.isFalse(yield* here.attempt(code))
    })
  )

  it.effect("come_after_a_pause_that_doubles_up_to_an_hour_and_is_forgiven_after_a_day", () =>
    Effect.gen(function* () {
      const { make } = yield* start
      const waits: Array<number> = []
      for (let sent = 0; sent < 10; sent++) {
        yield* make
        const refused = (yield* Effect.flip(make)) as TooManyRequests
        assert.strictEqual(refused._tag, "TooManyRequests")
        waits.push(refused.retryAfter)
        yield* pass(refused.retryAfter)
      }
      const expected = [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
      for (const [index, wait] of waits.entries())
        assert.isTrue(wait <= expected[index]! && wait >= expected[index]! - 2, `${wait} instead of ${expected[index]}`)
      yield* pass(86_401)
      yield* make
      assert.isAtMost(((yield* Effect.flip(make)) as TooManyRequests).retryAfter, 30)
    })
  )

  it.effect("are_kept_as_slow_keyed_hashes_with_a_salt_of_each", () =>
    Effect.gen(function* () {
      const { inside, make, tenantId } = yield* start
      const { code } = yield* make
      const stored = inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) =>
            sql<{ phone: string; hash: string; salt: string }>`
              select phone_hash as phone, code_hash as hash, salt from mahalla.sign_in_code where tenant_id = ${tenantId}`
        )
      )
      const [row] = yield* stored
      assert.notInclude(JSON.stringify(row), code)
      assert.notInclude(row!.phone, phone.slice(1))
      assert.strictEqual(Buffer.from(row!.salt, "base64url").length, 16)
      // Without the deployment's secret the right code cannot be told from a wrong one: scrypt of the code alone is another value.
      const bare = scryptSync(code, Buffer.from(row!.salt, "base64url"), 32, { N: 2 ** 14, r: 8, p: 1 })
      assert.notStrictEqual(bare.toString("base64url"), row!.hash)
      const other = Keys.layer(Redacted.make("another secret for the tests of signing in"))
      assert.isFalse(yield* tryCode(tenantId, phone, code).pipe(Effect.provide(other, { local: true })))
      yield* pass(codeLimits.pause)
      yield* make
      assert.notStrictEqual((yield* stored)[0]!.salt, row!.salt)
    })
  )

  it.effect("case_13_are_looked_at_five_times_however_many_try_at_once", () =>
    Effect.gen(function* () {
      const { attempt, inside, make, tenantId } = yield* start
      const { code } = yield* make
      const tries = inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ tries: number }>`select tries from mahalla.sign_in_code where tenant_id = ${tenantId}`
        )
      )
      // Among a hundred guesses the right one is the last to come.
      const guesses = Array.from({ length: 100 }, (_, index) => (index === 99 ? code : other(code)))
      yield* Effect.forEach(guesses.slice(0, 99), (guess) => attempt(guess), { concurrency: "unbounded" })
      assert.strictEqual((yield* tries)[0]!.tries, codeLimits.tries)
      assert.isFalse(yield* attempt(guesses[99]!))
      assert.strictEqual((yield* tries)[0]!.tries, codeLimits.tries, "and no try is counted after that")
    })
  )

  it.effect("of_an_earlier_version_have_run_out", () =>
    Effect.gen(function* () {
      const { attempt, inside, make, tenantId } = yield* start
      const keys = yield* Keys
      const mac = (purpose: string, text: string) => Buffer.from(keys.mac(purpose, text)).toString("base64url")
      const now = new Date(yield* Clock.currentTimeMillis)
      const [whose, hash] = [mac("phone", `${tenantId} ${phone}`), mac("sign-in-code", `${tenantId} ${phone} 123456`)]
      yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql`
            insert into mahalla.sign_in_code (tenant_id, phone_hash, code_hash, tries, sends, sent_at, expires_at)
            values (${tenantId}, ${whose}, ${hash}, 0, 1, ${now}, ${new Date(now.getTime() + 240_000)})`
        )
      )
      assert.isFalse(yield* attempt("123456"), "its right code opens nothing")
      assert.strictEqual((yield* Effect.flip(make))._tag, "TooManyRequests", "its pause still counts")
      yield* pass(codeLimits.pause)
      assert.isTrue(yield* attempt((yield* make).code), "and a new code takes its place")
    })
  )

  it.effect("case_16_take_as_long_where_no_code_is_as_where_one_is", () =>
    Effect.gen(function* () {
      const { attempt, make } = yield* start
      yield* make
      const time = (effect: Effect.Effect<boolean, unknown, Database | Keys>) =>
        Effect.gen(function* () {
          const began = performance.now()
          assert.isFalse(yield* effect)
          return performance.now() - began
        })
      const [known, unknown]: [Array<number>, Array<number>] = [[], []]
      for (let round = 0; round < 4; round++) {
        known.push(yield* time(attempt("000000")))
        unknown.push(yield* time(attempt("000000", "+998901234599")))
      }
      const least = (times: ReadonlyArray<number>) => Math.min(...times)
      const ratio = least(known) / least(unknown)
      assert.isTrue(ratio > 1 / 3 && ratio < 3, `${least(known)} ms and ${least(unknown)} ms`)
    })
  )

  it.effect("case_18_come_to_a_known_device_whatever_strangers_ask_for_and_try", () =>
    Effect.gen(function* () {
      const { attempt, inside, make, tenantId } = yield* start
      const person = yield* inside(personOfPhone(phone, "uz"))
      const { number } = yield* inside(recognise(person, undefined, undefined))
      // A stranger asks until the pause is long, and uses every try up.
      for (let asked = 0; asked < 4; asked++) {
        yield* make
        yield* pass(500)
      }
      yield* make
      for (let tried = 0; tried < 6; tried++) assert.isFalse(yield* attempt("000000"))
      assert.isAbove(((yield* Effect.flip(make)) as TooManyRequests).retryAfter, 200)
      const { code } = yield* makeCode(tenantId, phone, number)
      assert.isFalse(yield* attempt(code), "without the device it is among everybody's")
      assert.isTrue(yield* tryCode(tenantId, phone, code, number))
      // Somebody else's device, or a made-up one, is no way around the pause.
      const other = yield* inside(personOfPhone("+998901234599", "uz"))
      const theirs = yield* inside(recognise(other, undefined, undefined))
      for (const device of [theirs.number, `mdv_${"A".repeat(43)}`])
        assert.strictEqual((yield* Effect.flip(makeCode(tenantId, phone, device)))._tag, "TooManyRequests")
    })
  )

  it.effect("are_not_enough_where_a_second_factor_is_set_up", () =>
    Effect.gen(function* () {
      const one = yield* createTenant()
      const asked = { tenant: one, ip: "", phone, language: undefined }
      const code = Effect.map(makeCode(one.tenantId, phone), (made) => made.code)
      const { needs, principalId: id } = yield* personByCode({ ...asked, code: yield* code })
      assert.strictEqual(needs, "nothing")
      yield* withTenant(one.tenantId)(
        Effect.flatMap(
          TenantTx,
          ({ sql, tenantId }) => sql`
            insert into mahalla.totp (tenant_id, principal_id, secret, created_at, confirmed_at)
            values (${tenantId}, ${id}, 'sealed', now(), now())`
        )
      )
      const again = yield* personByCode({ ...asked, code: yield* code })
      assert.deepStrictEqual(again, { principalId: id, needs: "code" })
    })
  )

  it.effect("leave_the_event_loop_alone_while_they_are_hashed", () =>
    Effect.gen(function* () {
      const { attempt } = yield* start
      const delays = monitorEventLoopDelay({ resolution: 1 })
      delays.enable()
      yield* Effect.forEach(Array.from({ length: 12 }), () => attempt("000000"), { concurrency: "unbounded" })
      delays.disable()
      // Twelve in a row would hold it for half a second.
      assert.isBelow(delays.percentile(90) / 1e6, 100)
    })
  )

  it.effect("prove_a_phone_that_is_one_person_however_often_they_come_at_once", () =>
    Effect.gen(function* () {
      const { inside } = yield* start
      const found = yield* Effect.forEach(Array.from({ length: 12 }), () => inside(personOfPhone(phone, "uz")), {
        concurrency: "unbounded"
      })
      assert.strictEqual(new Set(found).size, 1)
      const events = yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) =>
            sql<{
              type: string
              amount: number
            }>`select type, count(*)::int as amount from mahalla.event group by type order by type`
        )
      )
      assert.deepStrictEqual(events, [{ type: "identity.registered", amount: 1 }])
      yield* inside(Effect.flatMap(TenantTx, ({ sql }) => sql`update mahalla.principal set status = 'blocked'`))
      assert.strictEqual((yield* Effect.flip(inside(personOfPhone(phone, "uz"))))._tag, "SignInRefused")
    })
  )
})

layer(rooms, { excludeTestServices: true })("one-time links", (it) => {
  it.effect("open_one_session_for_twenty_who_follow_them_at_once", () =>
    Effect.gen(function* () {
      const { inside, tenantId } = yield* start
      const staff = yield* createPrincipal(tenantId, { kind: "staff" })
      const token = yield* inside(issueLink(staff.id!))
      const elsewhere = yield* start
      assert.strictEqual((yield* Effect.flip(elsewhere.inside(useLink(token))))._tag, "SignInRefused")
      const outcomes = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.result(inside(useLink(token))), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        outcomes.flatMap((one) => (one._tag === "Success" ? [one.success] : [])),
        [staff.id]
      )
    })
  )

  it.effect("run_out_after_a_quarter_of_an_hour_and_end_with_the_account", () =>
    Effect.gen(function* () {
      const { inside, tenantId } = yield* start
      const staff = yield* createPrincipal(tenantId, { kind: "staff" })
      const late = yield* inside(issueLink(staff.id!))
      yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) =>
            sql`update mahalla.sign_in_link set expires_at = now() - interval '1 second' where tenant_id = ${tenantId}`
        )
      )
      assert.strictEqual((yield* Effect.flip(inside(useLink(late))))._tag, "SignInRefused")
      const token = yield* inside(issueLink(staff.id!))
      yield* inside(Effect.flatMap(TenantTx, ({ sql }) => sql`update mahalla.principal set status = 'blocked'`))
      assert.strictEqual((yield* Effect.flip(inside(useLink(token))))._tag, "SignInRefused")
    })
  )
})
