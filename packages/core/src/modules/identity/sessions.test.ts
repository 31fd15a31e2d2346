import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { readMigration } from "../../kernel/db/Migration.ts"
import { Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { AccessTokens } from "../../kernel/http/tokens.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { after } from "../../test/movedClock.ts"
import { sessionLife } from "./model.ts"
import { endOtherSessions, endSession, listSessions, refreshSession, type Tokens } from "./sessions.ts"
import { beginSession } from "./signIn.ts"
import { sweepIdentity } from "./sweep.ts"

const migrations = ["0001_identity", "0002_sessions-and-factors", "0004_openid", "0005_batches"].map((name) =>
  readMigration("identity", new URL(`./migrations/${name}.sql`, import.meta.url))
)
const rooms = AccessTokens.layer("https://city.example").pipe(
  Layer.provideMerge(Keys.layer(Redacted.make("a secret for the tests of sessions"))),
  Layer.provideMerge(testKernel({ postgresUrl: inject("postgresUrl"), migrations, maxConnections: 24 }))
)
const nowhere = { device: undefined, userAgent: undefined }

const start = Effect.fnUntraced(function* (kind: "person" | "staff" = "person", roles: ReadonlyArray<string> = []) {
  const { tenantId } = yield* createTenant()
  const inside = withTenant(tenantId)
  const { id } = yield* createPrincipal(tenantId, { kind, roles })
  const rows = <Row extends object>(text: (tx: TenantTx["Service"]) => Effect.Effect<ReadonlyArray<Row>, unknown>) =>
    inside(Effect.flatMap(TenantTx, text))
  return {
    tenantId,
    principalId: id!,
    inside,
    rows,
    open: inside(beginSession(id!, "code", nowhere)),
    refresh: (token: string) => refreshSession(tenantId, token),
    /** As a request finds the session: null when it is not in force. */
    state: Effect.fnUntraced(function* (sessionId: string, seconds = 0) {
      const { app } = yield* Database
      const [row] = yield* app<{ state: string | null }>`
        select state from mahalla.session_states(
          ${JSON.stringify([{ tenant: tenantId, principal: id, session: sessionId }])}::text::jsonb, now() + make_interval(secs => ${seconds}))`
      return row!.state
    }),
    ended: rows<{ id: string; because: string | null }>(
      ({ sql }) => sql`select id, ended_because as because from mahalla.session order by id`
    ),
    events: Effect.map(
      rows<{ type: string; payload: Record<string, unknown> }>(
        ({ sql }) => sql`select type, payload from mahalla.event order by id`
      ),
      (found) => found.map((event) => event.type)
    )
  }
})

layer(rooms, { excludeTestServices: true })("a session", (it) => {
  it.effect("goes_on_by_refresh_tokens_that_are_good_once", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const first = yield* one.open
      const second = yield* one.refresh(first.refreshToken)
      const third = yield* one.refresh(second.refreshToken)
      assert.strictEqual(third.sessionId, first.sessionId)
      assert.strictEqual(new Set([first, second, third].map((tokens) => tokens.refreshToken)).size, 3)
      const claims = yield* (yield* AccessTokens).verify(third.accessToken)
      assert.deepInclude(claims, { tenantId: one.tenantId, principalId: one.principalId, sessionId: first.sessionId })
      assert.isAtMost(third.refreshExpiresIn, first.refreshExpiresIn)
      assert.strictEqual(yield* one.state(first.sessionId), "none")
      const stored = JSON.stringify(yield* one.rows(({ sql }) => sql`select * from mahalla.refresh_token`))
      for (const tokens of [first, second, third]) assert.notInclude(stored, tokens.refreshToken.slice(4))
    })
  )

  it.effect("case_5_refresh_reuse_ends_the_family_in_the_store_though_the_request_is_refused", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const first = yield* one.open
      const second = yield* one.refresh(first.refreshToken)
      assert.strictEqual((yield* Effect.flip(one.refresh(first.refreshToken)))._tag, "SignInRefused")
      assert.deepStrictEqual(yield* one.ended, [{ id: first.sessionId, because: "reused" }])
      assert.isNull(yield* one.state(first.sessionId))
      assert.strictEqual((yield* Effect.flip(one.refresh(second.refreshToken)))._tag, "SignInRefused")
      const events = yield* one.events
      assert.deepStrictEqual(events, ["identity.signed-in", "identity.session-ended", "identity.refresh-reused"])
      const jobs = yield* one.rows<{ body: unknown }>(
        ({ sql }) => sql`select body from mahalla.job where topic = 'identity.tell'`
      )
      assert.deepStrictEqual(jobs, [{ body: { kind: "session-copied", principalId: one.principalId } }])
    })
  )

  it.effect("case_5_of_twenty_parallel_refreshes_one_wins_and_the_family_ends", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const first = yield* one.open
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.result(one.refresh(first.refreshToken)),
        { concurrency: "unbounded" }
      )
      const won = outcomes.flatMap((one) => (one._tag === "Success" ? [one.success] : []))
      assert.strictEqual(won.length, 1)
      assert.deepStrictEqual(yield* one.ended, [{ id: first.sessionId, because: "reused" }])
      assert.strictEqual((yield* Effect.flip(one.refresh(won[0]!.refreshToken)))._tag, "SignInRefused")
      assert.strictEqual((yield* one.events).filter((type) => type === "identity.refresh-reused").length, 1)
    })
  )

  it.effect("case_6_that_is_ended_while_it_is_refreshed_leaves_no_live_token", () =>
    Effect.gen(function* () {
      let races = 0
      for (let round = 0; round < 12; round++) {
        const one = yield* start()
        const first = yield* one.open
        const [refreshed] = yield* Effect.all(
          [
            Effect.result(one.refresh(first.refreshToken)),
            Effect.delay(one.inside(endSession(one.principalId, first.sessionId, "revoked")), `${round % 4} millis`)
          ],
          { concurrency: "unbounded" }
        )
        assert.isNull(yield* one.state(first.sessionId))
        if (refreshed._tag === "Failure") continue
        races++
        assert.strictEqual((yield* Effect.flip(one.refresh(refreshed.success.refreshToken)))._tag, "SignInRefused")
      }
      assert.isAbove(races, 0, "some refreshes were first")
    })
  )

  it.effect("runs_out_when_it_is_left_alone_and_at_its_end_however_often_it_is_refreshed", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const { idle, whole } = sessionLife.person
      const left = yield* one.open
      assert.strictEqual(yield* one.state(left.sessionId, idle - 5), "none")
      assert.isNull(yield* one.state(left.sessionId, idle + 5))
      assert.strictEqual((yield* Effect.flip(after(idle + 5)(one.refresh(left.refreshToken))))._tag, "SignInRefused")
      let tokens: Tokens = yield* one.open
      let passed = 0
      for (; passed + idle < whole; passed += idle - 60) tokens = yield* after(passed)(one.refresh(tokens.refreshToken))
      assert.isAtMost(tokens.refreshExpiresIn, idle + idle)
      assert.strictEqual((yield* Effect.flip(after(whole + 5)(one.refresh(tokens.refreshToken))))._tag, "SignInRefused")
      assert.isNull(yield* one.state(tokens.sessionId, whole + 5))
      // Staff sign in every day.
      const staff = yield* start("staff")
      const theirs = yield* staff.open
      assert.strictEqual(theirs.refreshExpiresIn, sessionLife.staff.whole)
      assert.isNull(yield* staff.state(theirs.sessionId, sessionLife.staff.idle + 5))
      assert.isTrue((yield* Effect.flatMap(start("person", ["inspector"]), (given) => given.open)).staff)
    })
  )

  it.effect("has_the_life_of_staff_from_the_day_its_person_is_given_a_role", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const { idle, whole } = sessionLife.staff
      const [used, left] = [yield* one.open, yield* one.open]
      yield* one.rows(
        ({ sql, tenantId }) => sql`
          insert into mahalla.role_grant (tenant_id, id, principal_id, role, granted_at)
          values (${tenantId}, gen_random_uuid(), ${one.principalId}, 'inspector', now())`
      )
      let tokens = yield* one.refresh(used.refreshToken)
      assert.isAtMost(tokens.refreshExpiresIn, whole)
      let passed = 0
      for (; passed + idle < whole; passed += idle - 60) tokens = yield* after(passed)(one.refresh(tokens.refreshToken))
      assert.strictEqual((yield* Effect.flip(after(whole + 5)(one.refresh(tokens.refreshToken))))._tag, "SignInRefused")
      assert.isNull(yield* one.state(used.sessionId, whole + 5))
      assert.strictEqual((yield* Effect.flip(after(idle + 5)(one.refresh(left.refreshToken))))._tag, "SignInRefused")
    })
  )

  it.effect("that_has_run_out_is_no_theft_however_often_an_app_tries_again", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const { refreshToken } = yield* one.open
      for (let tries = 0; tries < 3; tries++)
        assert.strictEqual(
          (yield* Effect.flip(after(sessionLife.person.idle + 5)(one.refresh(refreshToken))))._tag,
          "SignInRefused"
        )
      assert.deepStrictEqual(yield* one.events, ["identity.signed-in"])
    })
  )

  it.effect("that_begins_while_its_owner_is_blocked_or_gets_a_factor_hears_of_it", () =>
    Effect.gen(function* () {
      /** A sign-in that begins while a transaction is open which does this. */
      const beside = Effect.fnUntraced(function* (what: (sql: TenantTx["Service"]) => Effect.Effect<unknown, unknown>) {
        const one = yield* start()
        const done = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const change = yield* Effect.forkChild(
          one.rows((tx) =>
            what(tx).pipe(
              Effect.andThen(Deferred.succeed(done, undefined)),
              Effect.andThen(Deferred.await(goOn)),
              Effect.as([])
            )
          )
        )
        yield* Deferred.await(done)
        const signIn = yield* Effect.forkChild(Effect.result(one.open))
        yield* Effect.sleep("200 millis")
        yield* Deferred.succeed(goOn, undefined)
        yield* Fiber.join(change)
        return { ...one, outcome: yield* Fiber.join(signIn) }
      })
      const blocked = yield* beside(
        ({ sql, tenantId }) => sql`update mahalla.principal set status = 'blocked' where tenant_id = ${tenantId}`
      )
      yield* blocked.rows(({ sql }) => sql`update mahalla.principal set status = 'active'`)
      assert.deepStrictEqual(
        yield* blocked.rows(({ sql }) => sql`select id from mahalla.session where ended_at is null`),
        []
      )
      assert.strictEqual(blocked.outcome._tag, "Failure")
      const proved = yield* beside(({ sql, tenantId }) =>
        Effect.andThen(
          sql`select from mahalla.principal where tenant_id = ${tenantId} for update`,
          sql`
            insert into mahalla.totp (tenant_id, principal_id, secret, created_at, confirmed_at)
            select tenant_id, id, 'sealed', now(), now() from mahalla.principal where tenant_id = ${tenantId}`
        )
      )
      assert.strictEqual(proved.outcome._tag === "Success" && proved.outcome.success.secondFactor, "pending")
    })
  )

  it.effect("case_23_ends_with_the_block_of_its_owner_and_does_not_come_back", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const [first, second] = [yield* one.open, yield* one.open]
      const status = (to: string) =>
        one.rows(({ sql, tenantId }) => sql`update mahalla.principal set status = ${to} where tenant_id = ${tenantId}`)
      yield* status("blocked")
      assert.deepStrictEqual(
        (yield* one.ended).map(({ because }) => because),
        ["blocked", "blocked"]
      )
      yield* status("active")
      for (const tokens of [first, second]) {
        assert.isNull(yield* one.state(tokens.sessionId))
        assert.strictEqual((yield* Effect.flip(one.refresh(tokens.refreshToken)))._tag, "SignInRefused")
      }
    })
  )

  it.effect("is_listed_and_ended_by_its_owner_alone", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const other = yield* createPrincipal(one.tenantId)
      const sessions = [yield* one.open, yield* one.open, yield* one.open]
      const theirs = yield* one.inside(beginSession(other.id!, "code", nowhere))
      const listed = yield* one.inside(listSessions(one.principalId, undefined, 10))
      assert.deepStrictEqual(
        listed.map(({ id }) => id),
        sessions.map(({ sessionId }) => sessionId).toReversed()
      )
      const foreign = one.inside(endSession(one.principalId, theirs.sessionId, "revoked"))
      assert.strictEqual((yield* Effect.flip(foreign))._tag, "NotFound")
      assert.strictEqual(yield* one.inside(endOtherSessions(one.principalId, sessions[1]!.sessionId)), 2)
      const left = yield* one.inside(listSessions(one.principalId, undefined, 10))
      assert.deepStrictEqual(
        left.map(({ id }) => id),
        [sessions[1]!.sessionId]
      )
      assert.strictEqual(yield* one.state(theirs.sessionId), null, "asked as another principal it is not there")
      const still = yield* one.inside(listSessions(other.id!, undefined, 10))
      assert.strictEqual(still.length, 1)
    })
  )

  it.effect("of_one_city_is_worth_nothing_in_another", () =>
    Effect.gen(function* () {
      const [here, there] = [yield* start(), yield* start()]
      const tokens = yield* here.open
      assert.strictEqual((yield* Effect.flip(there.refresh(tokens.refreshToken)))._tag, "SignInRefused")
      assert.isNull(yield* there.state(tokens.sessionId))
      assert.strictEqual(yield* here.state(tokens.sessionId), "none", "and trying it there ends nothing here")
    })
  )

  it.effect("is_swept_away_a_month_after_its_end_and_no_other", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const [old, fresh] = [yield* one.open, yield* one.open]
      const age = sessionLife.person.whole + 31 * 86_400
      yield* one.rows(
        ({ sql }) => sql`
          update mahalla.session set expires_at = expires_at - make_interval(secs => ${age}) where id = ${old.sessionId}`
      )
      yield* sweepIdentity
      assert.deepStrictEqual(
        (yield* one.ended).map(({ id }) => id),
        [fresh.sessionId]
      )
      const tokens = yield* one.rows<{ session_id: string }>(
        ({ sql }) => sql`select session_id from mahalla.refresh_token`
      )
      assert.deepStrictEqual(tokens, [{ session_id: fresh.sessionId }])
    })
  )
})

layer(rooms, { excludeTestServices: true })("a device", (it) => {
  const chrome =
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36"

  it.effect("is_known_again_by_the_number_it_keeps", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const signIn = (device?: string) =>
        one.inside(beginSession(one.principalId, "code", { device, userAgent: chrome }))
      const tell = one.rows<{ kind: string }>(
        ({ sql }) => sql`select body ->> 'kind' as kind from mahalla.job where topic = 'identity.tell'`
      )
      const first = yield* signIn()
      assert.match(first.device, /^mdv_[A-Za-z0-9_-]{43}$/)
      const again = yield* signIn(first.device)
      assert.strictEqual(again.device, first.device)
      assert.deepStrictEqual(yield* tell, [], "the very first device is no news, and a known one is none")
      const elsewhere = yield* signIn()
      assert.notStrictEqual(elsewhere.device, first.device)
      assert.deepStrictEqual(yield* tell, [{ kind: "new-device" }])
      assert.deepStrictEqual(
        (yield* one.events).filter((type) => type === "identity.new-device"),
        ["identity.new-device"]
      )
      const listed = yield* one.inside(listSessions(one.principalId, undefined, 10))
      assert.deepStrictEqual(
        listed.map(({ device }) => device),
        Array.from({ length: 3 }, () => "Chrome on Android")
      )
      const devices = yield* one.rows(({ sql }) => sql`select * from mahalla.sign_in_device`)
      assert.strictEqual(devices.length, 2)
      assert.notInclude(JSON.stringify(devices), first.device.slice(4))
    })
  )

  it.effect("is_one_for_several_people_and_no_proof_of_any_of_them", () =>
    Effect.gen(function* () {
      const one = yield* start()
      const other = yield* createPrincipal(one.tenantId)
      const { device } = yield* one.open
      yield* one.inside(beginSession(other.id!, "code", { device, userAgent: undefined }))
      const shared = yield* one.rows<{ people: number }>(
        ({ sql }) =>
          sql`select count(distinct principal_id)::int as people from mahalla.sign_in_device group by device_hash`
      )
      assert.deepStrictEqual(shared, [{ people: 2 }])
    })
  )
})
