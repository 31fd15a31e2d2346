/** Attack case 36: the clock of the wall jumps a day ahead or back, or its zone changes; nothing runs out early for good, and nothing runs twice. */
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { parseSchedule, runDue } from "../engine/background.ts"
import { TenantTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import { readMigration } from "../kernel/db/Migration.ts"
import { AccessTokens } from "../kernel/http/tokens.ts"
import { runWorker } from "../kernel/jobs/worker.ts"
import { Keys } from "../kernel/keys/Keys.ts"
import { takeLease, whileLeader } from "../kernel/leases/lease.ts"
import { makeCode } from "../modules/identity/codes.ts"
import { openSession, refreshSession } from "../modules/identity/sessions.ts"
import { Queue } from "../ports/Queue.ts"
import { createPrincipal, createTenant, testKernel } from "../testing/kernel.ts"
import { memoryQueue } from "../testing/Queue.memory.ts"
import { jumpingClock } from "./jumpingClock.ts"

const day = 86_400
const migrations = ["0001_identity", "0002_sessions-and-factors"].map((name) =>
  readMigration("identity", new URL(`../modules/identity/migrations/${name}.sql`, import.meta.url))
)
const rooms = AccessTokens.layer("https://city.example").pipe(
  Layer.provideMerge(Keys.layer(Redacted.make("a secret for the tests of clocks"))),
  Layer.provideMerge(testKernel({ postgresUrl: inject("postgresUrl"), migrations, maxConnections: 16 }))
)

/** A schedule that writes down when it runs; looked at every ten minutes of what the clock says. */
const scheduled = (cron: string) => {
  const runs: Array<string> = []
  const schedule = parseSchedule({
    id: `test.${randomUUID()}`,
    cron,
    run: Effect.map(Clock.currentTimeMillis, (now) => void runs.push(new Date(now).toISOString().slice(5, 16)))
  })
  const look = runDue([schedule])
  const through = (from: string, to: string) =>
    Effect.gen(function* () {
      for (let at = Date.parse(from); at <= Date.parse(to); at += 600_000) {
        yield* TestClock.setTime(at)
        yield* look
      }
      return runs.splice(0)
    })
  return { through }
}
const atHand = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, TestClock.layer(), { local: true })

layer(rooms, { excludeTestServices: true })("when the clock jumps", (it) => {
  it.effect("case_36_schedules_run_once_an_hour_whatever_the_clock_was_set_to_in_between", () =>
    atHand(
      Effect.gen(function* () {
        const { through } = scheduled("10 * * * *")
        // The very first look writes down where it begins, and runs.
        assert.deepEqual(yield* through("2026-03-08T05:50Z", "2026-03-08T05:50Z"), ["03-08T05:50"])
        assert.deepEqual(yield* through("2026-03-08T06:00Z", "2026-03-08T08:00Z"), ["03-08T06:10", "03-08T07:10"])
        // A day ahead: what was missed is run once, not twenty-four times.
        assert.deepEqual(yield* through("2026-03-09T08:00Z", "2026-03-09T08:20Z"), ["03-09T08:00", "03-09T08:10"])
        // And back: it goes on with the next hour, not only tomorrow, and repeats none that has run.
        assert.deepEqual(yield* through("2026-03-08T08:00Z", "2026-03-08T10:00Z"), ["03-08T08:10", "03-08T09:10"])
        // A day back, for good, as when a machine had begun with a wrong time.
        assert.deepEqual(yield* through("2026-03-07T10:00Z", "2026-03-07T12:00Z"), ["03-07T10:10", "03-07T11:10"])
        // Half an hour back, as no change of clocks is, but a person does: 11:10 comes again, and is not run again.
        assert.deepEqual(yield* through("2026-03-07T11:00Z", "2026-03-07T12:20Z"), ["03-07T12:10"])
      })
    )
  )

  it.effect("case_36_neither_a_change_of_clocks_nor_of_the_machines_zone_runs_a_schedule_twice_or_not_at_all", () =>
    atHand(
      Effect.gen(function* () {
        const zone = process.env["TZ"]
        const { through } = scheduled("30 * * * *")
        yield* through("2026-10-31T20:40Z", "2026-10-31T20:40Z")
        const all: Array<string> = []
        // In New York 01:30 comes twice that night; in between the machine is taken to Tashkent and Lord Howe, half an hour off.
        for (const [name, from, to] of [
          ["America/New_York", "2026-10-31T20:50Z", "2026-11-01T05:50Z"],
          ["Asia/Tashkent", "2026-11-01T06:00Z", "2026-11-01T06:20Z"],
          ["Australia/Lord_Howe", "2026-11-01T06:30Z", "2026-11-01T09:00Z"]
        ] as const) {
          process.env["TZ"] = name
          all.push(...(yield* through(from, to)))
        }
        if (zone === undefined) delete process.env["TZ"]
        else process.env["TZ"] = zone
        const hours = Array.from({ length: 12 }, (_, hour) =>
          new Date(Date.UTC(2026, 9, 31, 21 + hour, 30)).toISOString().slice(5, 16)
        )
        assert.deepEqual(all, hours)
      })
    )
  )

  it.effect("case_36_whoever_leads_goes_on_renewing_the_lease_and_nobody_else_gets_it", () =>
    Effect.gen(function* () {
      const clock = yield* jumpingClock
      const name = `clock.${randomUUID()}`
      let turns = 0
      const turn = Effect.andThen(
        Effect.sleep(20),
        Effect.sync(() => turns++)
      )
      const leader = yield* Effect.forkChild(clock.by(whileLeader({ name, holder: "a", seconds: 0.9 }, turn)))
      for (const jump of [0, -day, day, 0]) {
        clock.set(jump)
        const before = turns
        for (let look = 0; look < 6; look++) {
          yield* Effect.sleep(200)
          assert.isFalse(yield* withPlatform(takeLease(name, "b", 30)), `${jump} s ahead`)
        }
        assert.isAbove(turns, before + 5)
      }
      yield* Fiber.interrupt(leader)
    })
  )

  it.effect("case_36_running_jobs_are_neither_late_nor_lost", () =>
    Effect.gen(function* () {
      const clock = yield* jumpingClock
      const real = yield* Clock.Clock
      const own = Context.get(yield* Layer.build(memoryQueue()), Queue)
      // The queue stands on another machine, whose clock is right.
      const there = <A, E>(self: Effect.Effect<A, E>) => Effect.provideService(self, Clock.Clock, real)
      const queue: Queue["Service"] = {
        ...own,
        receive: (request) => there(own.receive(request)),
        extend: (receipts, lease) => there(own.extend(receipts, lease)),
        complete: (receipts) => there(own.complete(receipts))
      }
      let begun = 0
      const ended: Array<number> = []
      const handle = ({ body }: { readonly body: unknown }) =>
        Effect.gen(function* () {
          begun++
          yield* Effect.sleep(700)
          ended.push(body as number)
        })
      yield* clock.by(runWorker({ queue, worker: "test", poll: 50, handlers: { "t.one": { handle, timeout: 5_000 } } }))
      const all = [1, 2, 3, 4]
      yield* queue.send(
        all.map((body) => ({
          id: `${randomUUID().slice(0, 14)}7${randomUUID().slice(15)}`,
          tenantId: randomUUID(),
          topic: "t.one",
          body
        }))
      )
      for (const jump of [day, -day, day, 0]) {
        yield* Effect.sleep(150)
        clock.set(jump)
      }
      yield* Effect.sleep(900)
      assert.deepEqual([begun, ended.toSorted((one, other) => one - other)], [4, all])
    }).pipe(Effect.scoped)
  )

  it.effect("case_36_a_session_that_only_a_wrong_clock_had_ended_is_there_again_when_it_is_right", () =>
    Effect.gen(function* () {
      const clock = yield* jumpingClock
      const { tenantId } = yield* createTenant()
      const { id } = yield* createPrincipal(tenantId, { kind: "staff" })
      const inside = withTenant(tenantId)
      const opened = yield* clock.by(
        inside(openSession({ principalId: id!, by: "link", secondFactor: "none", provedAt: undefined, deviceId: null }))
      )
      const refresh = (token: string) => clock.by(refreshSession(tenantId, token))
      clock.set(-day)
      const early = yield* refresh(opened.refreshToken)
      clock.set(day)
      // Whoever works lives twelve hours: by this clock it is over.
      assert.strictEqual((yield* Effect.flip(refresh(early.refreshToken)))._tag, "SignInRefused")
      assert.strictEqual((yield* Effect.flip(refresh(early.refreshToken)))._tag, "SignInRefused")
      clock.set(0)
      const { refreshToken, sessionId } = yield* refresh(early.refreshToken)
      assert.strictEqual(sessionId, opened.sessionId)
      // A second use still ends it, for good.
      assert.strictEqual((yield* Effect.flip(refresh(early.refreshToken)))._tag, "SignInRefused")
      assert.strictEqual((yield* Effect.flip(refresh(refreshToken)))._tag, "SignInRefused")
      const [session] = yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ because: string }>`
            select ended_because as because from mahalla.session where tenant_id = ${tenantId} and id = ${sessionId}`
        )
      )
      assert.strictEqual(session!.because, "reused")
    })
  )

  it.effect("case_36_nobody_waits_a_day_for_a_code_because_the_clock_was_a_day_ahead", () =>
    Effect.gen(function* () {
      const clock = yield* jumpingClock
      const { tenantId } = yield* createTenant()
      const make = clock.by(makeCode(tenantId, "+998901234567"))
      clock.set(day)
      yield* make
      clock.set(0)
      assert.match((yield* make).code, /^\d{6}$/)
      // And from then on it is as ever.
      const refused = yield* Effect.flip(make)
      assert.isTrue(refused._tag === "TooManyRequests" && refused.retryAfter > 50 && refused.retryAfter <= 60)
    })
  )
})
