import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { inTransactionOf, PlatformTx, type TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { readMigration } from "../../kernel/db/Migration.ts"
import { resealTurn, rotateTenantKey } from "../../kernel/personal/reseal.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { IdentityRegisters } from "../../kernel/ports.ts"
import {
  type IdentityAnswer,
  IdentityCheck,
  IdentityCheckError,
  type IdentityQuestion
} from "../../ports/IdentityCheck.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { after } from "../../test/movedClock.ts"
import { checksOf, claimsColumn, revokeConfirmations, startCheck, verifiedOf } from "./checks.ts"
import { checkJob, recoverChecks } from "./checksJob.ts"
import { identityOfPerson } from "./people.ts"
import { identityRetention } from "./retention.ts"
import { sealedChecks } from "./sealed.ts"
import { NotVerified, verified } from "./verified.ts"

const migrations = ["0001_identity", "0002_sessions-and-factors", "0003_identity-checks"].map((name) =>
  readMigration("identity", new URL(`./migrations/${name}.sql`, import.meta.url))
)

/** What the register says next, and what it was asked. */
let say: (question: IdentityQuestion) => Effect.Effect<IdentityAnswer, IdentityCheckError>
const asked: Array<IdentityQuestion> = []
const register = IdentityCheck.of({
  title: { en: "Register" },
  numberTitle: { en: "Number" },
  numberPattern: "\\d{14}",
  needs: ["birthDate"],
  patience: 200,
  check: (question) =>
    Effect.suspend(() => {
      asked.push(question)
      return say(question)
    })
})
/** A person by the last six digits of their number: several numbers may be one person's. */
const personOf = ({ claims }: IdentityQuestion): Effect.Effect<IdentityAnswer> =>
  Effect.succeed({ state: "confirmed", assurance: "substantial", reference: `person ${claims.number.slice(-6)}` })
const lost = (): Effect.Effect<IdentityAnswer> => Effect.succeed({ state: "unknown", message: "The answer was lost." })

const claims = { number: "31207901234567", birthDate: "1990-07-12" }

const room = Effect.gen(function* () {
  asked.length = 0
  say = personOf
  const { tenantId } = yield* createTenant()
  const inside = withTenant(tenantId)
  const person = Effect.map(createPrincipal(tenantId), ({ id }) => id!)
  const start = (principalId: string, number = claims.number) =>
    inside(startCheck({ principalId, register: "registry", claims: { ...claims, number }, consent: "1" }))
  const run = (checkId: string) =>
    Effect.exit(
      checkJob.run({ checkId }, { id: "job", tenantId, attempt: 1, maxAttempts: 100 }) as Effect.Effect<
        void,
        unknown,
        never
      >
    )
  const state = (principalId: string) => Effect.map(inside(checksOf(principalId, 20)), (rows) => rows[0])
  const platform = <A extends object>(text: string) =>
    withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql.unsafe<A>(text, [tenantId])))
  return { tenantId, inside, person, start, run, state, platform }
})

const rooms = Layer.merge(
  testKernel({ postgresUrl: inject("postgresUrl"), migrations, maxConnections: 24 }),
  Layer.succeed(IdentityRegisters, new Map([["registry", register]]))
)

layer(rooms, { excludeTestServices: true })("identity checks", (it) => {
  it.effect("stay_open_while_answers_are_lost_and_ask_under_one_id", () =>
    Effect.gen(function* () {
      const { inside, person, run, start, state } = yield* room
      const id = yield* person
      const { id: checkId } = yield* start(id)
      const away = new IdentityCheckError({
        reason: "Unavailable",
        operation: "check",
        subject: checkId,
        message: "Closed; ask later.",
        retryable: true
      })
      for (const trouble of [lost, () => Effect.fail(away)]) {
        say = trouble
        assert.strictEqual((yield* run(checkId))._tag, "Failure")
        assert.strictEqual((yield* state(id))?.state, "waiting")
        assert.isUndefined(yield* inside(verifiedOf(id)))
      }
      say = personOf
      assert.strictEqual((yield* run(checkId))._tag, "Success")
      assert.deepStrictEqual(
        asked.map((one) => [one.id, one.claims]),
        [1, 2, 3].map(() => [checkId, claims])
      )
      assert.strictEqual((yield* inside(verifiedOf(id)))?.assurance, "substantial")
      // A job that comes once more asks nobody.
      assert.strictEqual((yield* run(checkId))._tag, "Success")
      assert.strictEqual(asked.length, 3)
    })
  )

  it.effect("wait_no_longer_for_a_register_than_it_says_and_a_moment", () =>
    Effect.gen(function* () {
      const { person, run, start, state } = yield* room
      const id = yield* person
      const { id: checkId } = yield* start(id)
      say = () => Effect.never
      const exit = yield* run(checkId)
      assert.include(JSON.stringify(exit), "asked again under this id")
      assert.strictEqual((yield* state(id))?.state, "waiting")
    })
  )

  it.effect("keep_what_is_claimed_sealed_until_the_answer_and_then_an_index_alone", () =>
    Effect.gen(function* () {
      const { person, platform, run, start } = yield* room
      const id = yield* person
      const { id: checkId } = yield* start(id)
      const row = Effect.map(
        platform<Record<string, string | null>>("select * from mahalla.identity_check where tenant_id = $1"),
        (rows) => rows[0]!
      )
      const waiting = yield* row
      assert.match(waiting["claims"]!, /^v1\.1\./)
      assert.notInclude(JSON.stringify(waiting), claims.number)
      yield* run(checkId)
      const confirmed = yield* row
      assert.isNull(confirmed["claims"])
      assert.match(confirmed["number_index"]!, /^[\w-]{43}$/)
      assert.match(confirmed["reference"]!, /^v1\.1\./)
      const events = yield* platform<{ type: string; payload: unknown }>(
        "select type, payload from mahalla.event where tenant_id = $1 order by id"
      )
      assert.deepStrictEqual(
        events.map(({ type }) => type),
        ["identity.check-started", "identity.confirmed"]
      )
      assert.notInclude(JSON.stringify(events), claims.number)
      assert.notInclude(JSON.stringify(events), claims.birthDate)
    })
  )

  it.effect("confirm_one_account_of_those_that_ask_at_once", () =>
    Effect.gen(function* () {
      const { person, run, start, state } = yield* room
      const people = yield* Effect.forEach(Array.from({ length: 8 }), () => person)
      const checks = yield* Effect.forEach(people, (id, place) =>
        // Half of them with another number of the same person.
        start(id, place % 2 === 0 ? claims.number : "31207902234567")
      )
      yield* Effect.forEach(checks, ({ id }) => run(id), { concurrency: "unbounded" })
      const ends = yield* Effect.forEach(people, state)
      assert.strictEqual(ends.filter((end) => end?.state === "confirmed").length, 1)
      assert.strictEqual(ends.filter((end) => end?.reason === "used-elsewhere").length, 7)
    })
  )

  it.effect("free_the_person_when_a_confirmation_is_taken_back_or_the_account_ends", () =>
    Effect.gen(function* () {
      const { inside, person, platform, run, start, state, tenantId } = yield* room
      const [first, second, third] = [yield* person, yield* person, yield* person]
      const confirm = Effect.fnUntraced(function* (id: string) {
        yield* run((yield* start(id)).id)
        return (yield* state(id))?.state
      })
      assert.strictEqual(yield* confirm(first), "confirmed")
      assert.strictEqual(yield* confirm(second), "not-confirmed")
      assert.strictEqual(yield* inside(revokeConfirmations(first, null)), 1)
      assert.isUndefined(yield* inside(verifiedOf(first)))
      assert.strictEqual(yield* confirm(second), "confirmed")
      const part = identityOfPerson.find(({ id }) => id === "identityChecks")!
      // As the eraser does it: with the rights of the platform.
      yield* withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => inTransactionOf(tenantId, sql, part.erase(second))))
      assert.deepStrictEqual(
        yield* platform(`select from mahalla.identity_check where tenant_id = $1 and principal_id = '${second}'`),
        []
      )
      assert.strictEqual(yield* confirm(third), "confirmed")
    })
  )

  it.effect("are_dropped_a_year_after_they_ended_unless_they_are_confirmed", () =>
    Effect.gen(function* () {
      const { person, platform, run, start, tenantId } = yield* room
      for (const id of [yield* person, yield* person]) yield* run((yield* start(id)).id)
      yield* start(yield* person)
      const rule = identityRetention.find(({ id }) => id === "identityChecks")!
      const drop = (days: number) =>
        withPlatform(
          Effect.flatMap(PlatformTx, ({ sql }) =>
            inTransactionOf(tenantId, sql, rule.drop(new Date(Date.now() - days * 86_400_000), 500))
          )
        )
      assert.deepStrictEqual([yield* drop(1), yield* drop(-1)], [0, 1])
      const left = yield* platform<{ state: string }>(
        "select state from mahalla.identity_check where tenant_id = $1 order by id"
      )
      assert.deepStrictEqual(
        left.map(({ state }) => state),
        ["confirmed", "waiting"]
      )
    })
  )

  it.effect("end_after_a_week_without_an_answer_with_all_that_was_claimed", () =>
    Effect.gen(function* () {
      const { person, platform, run, start, state } = yield* room
      const id = yield* person
      const { id: checkId } = yield* start(id)
      say = lost
      yield* run(checkId)
      yield* after(6 * 86_400)(recoverChecks as Effect.Effect<void, unknown, never>)
      assert.strictEqual((yield* state(id))?.state, "waiting")
      yield* after(7 * 86_400 + 1)(recoverChecks as Effect.Effect<void, unknown, never>)
      assert.strictEqual((yield* state(id))?.state, "no-answer")
      const [row] = yield* platform<{ claims: null; number_index: null }>(
        "select claims, number_index from mahalla.identity_check where tenant_id = $1"
      )
      assert.deepStrictEqual(row, { claims: null, number_index: null })
      // A late answer changes nothing.
      say = personOf
      yield* run(checkId)
      assert.strictEqual((yield* state(id))?.state, "no-answer")
      // And the person may ask anew.
      yield* run((yield* start(id)).id)
      assert.strictEqual((yield* state(id))?.state, "confirmed")
    })
  )

  it.effect("get_a_job_again_when_theirs_was_lost", () =>
    Effect.gen(function* () {
      const { person, platform, start } = yield* room
      const { id: checkId } = yield* start(yield* person)
      const jobs = platform<{ body: unknown }>(
        "select body from mahalla.job where tenant_id = $1 and topic = 'identity.check'"
      )
      assert.strictEqual((yield* jobs).length, 1)
      yield* platform("delete from mahalla.job where tenant_id = $1")
      yield* after(601)(recoverChecks as Effect.Effect<void, unknown, never>)
      assert.deepStrictEqual(yield* jobs, [{ body: { checkId } }])
    })
  )

  it.effect("end_where_the_register_cannot_read_the_question_and_wait_where_there_is_no_register_any_more", () =>
    Effect.gen(function* () {
      const { inside, person, run, start, state } = yield* room
      const [first, second] = [yield* person, yield* person]
      say = ({ id }) =>
        Effect.fail(
          new IdentityCheckError({
            reason: "InvalidRequest",
            operation: "check",
            subject: id,
            message: "Unreadable.",
            retryable: false
          })
        )
      yield* run((yield* start(first)).id)
      assert.strictEqual((yield* state(first))?.reason, "not-usable")
      const { id } = yield* inside(startCheck({ principalId: second, register: "closed", claims, consent: "1" }))
      const exit = yield* run(id)
      assert.include(JSON.stringify(exit), "no register closed")
      assert.strictEqual((yield* state(second))?.state, "waiting")
    })
  )

  it.effect("outlive_a_change_of_keys", () =>
    Effect.gen(function* () {
      const { inside, person, platform, run, start, tenantId } = yield* room
      const [first, second] = [yield* person, yield* person]
      yield* run((yield* start(first)).id)
      const { id: waiting } = yield* start(second, "31207903234568")
      assert.strictEqual(yield* rotateTenantKey(tenantId, [sealedChecks]), 2)
      yield* resealTurn([sealedChecks])
      const rows = yield* platform<{ claims: string | null; reference: string | null }>(
        "select claims, reference from mahalla.identity_check where tenant_id = $1 order by id"
      )
      assert.match(rows[0]!.reference!, /^v1\.2\./)
      assert.match(rows[1]!.claims!, /^v1\.2\./)
      assert.include(yield* inside(claimsColumn.open(waiting, rows[1]!.claims!)), "31207903234568")
      // The same person is still found.
      const third = yield* person
      yield* run((yield* start(third)).id)
      assert.strictEqual((yield* inside(checksOf(third, 1)))[0]?.reason, "used-elsewhere")
    })
  )

  it.effect("let_pass_who_is_confirmed_surely_enough_and_the_engine", () =>
    Effect.gen(function* () {
      const { inside, person, run, start, tenantId } = yield* room
      const id = yield* person
      const pass = (level: "low" | "substantial" | "high", who: string | null) =>
        inside(
          Effect.provideService(
            Effect.result(verified(level)({} as never)) as Effect.Effect<
              { readonly _tag: string; readonly failure?: unknown },
              never,
              Actor | TenantTx
            >,
            Actor,
            who === null ? system(tenantId) : { id: who, kind: "person", tenantId, grants: [] }
          )
        )
      assert.instanceOf((yield* pass("low", id)).failure, NotVerified)
      yield* run((yield* start(id)).id)
      const tags = yield* Effect.forEach(["low", "substantial", "high"] as const, (level) =>
        Effect.map(pass(level, id), ({ _tag }) => _tag)
      )
      assert.deepStrictEqual(tags, ["Success", "Success", "Failure"])
      assert.strictEqual((yield* pass("high", null))._tag, "Success")
    })
  )
})
