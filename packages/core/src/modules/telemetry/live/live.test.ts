/** Live readings as their readers pull them, on a real database: one source, whatever came from memory, whoever is slow. */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { SqlClient } from "effect/sql/SqlClient"
import fc from "fast-check"
import { inject } from "vitest"
import { Database, withTenant } from "../../../kernel/db/Database.ts"
import { readMigration } from "../../../kernel/db/Migration.ts"
import { Policy } from "../../../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../../../kernel/policy/presets.ts"
import { Actor, system } from "../../../kernel/policy/Principal.ts"
import { createTenant, testKernel } from "../../../testing/kernel.ts"
import { makeCodecSandbox } from "../decode/codec/sandbox.ts"
import { makeDecodeAll } from "../decodeAll.ts"
import { createDevices } from "../devices.ts"
import { type Fresh, makeIntake } from "../Intake.ts"
import { createProfile } from "../profiles.ts"
import { LiveReadings, makeLiveReadings } from "./LiveReadings.ts"
import { type ReadingFilter, readingReader, type ReadingStep } from "./Reader.ts"
import { makeSource, mostBatches } from "./Source.ts"

const migrations = ["0001_devices.sql", "0002_readings.sql", "0003_commands.sql"].map((file) =>
  readMigration("telemetry", new URL(`../migrations/${file}`, import.meta.url))
)
const now = Date.now()
const policy = { roles: rolesOf(presetRoles, []) }

/** The same database, with its statements counted. */
const counting = Effect.gen(function* () {
  const { app, platform } = yield* Database
  let asked = 0
  const counted = (sql: SqlClient) =>
    new Proxy(sql, {
      apply: (target, self, given) => {
        asked++
        return Reflect.apply(target as never, self, given)
      }
    })
  return { database: Database.of({ app: counted(app), platform: counted(platform) }), asked: () => asked }
})

const open = Effect.gen(function* () {
  const { slug, tenantId } = yield* createTenant()
  const stored: Array<Fresh> = []
  const decode = makeDecodeAll(yield* makeCodecSandbox())
  const intake = yield* makeIntake({ decode, told: () => {}, fresh: (batch) => stored.push(batch), deadPerMinute: 100 })
  const as = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(tenantId)(self).pipe(
      Effect.provideService(Actor, system(tenantId)),
      Effect.provideService(Policy, policy)
    )
  const profile = yield* as(
    createProfile("sensor", {
      datastreams: [{ key: "pressure", title: "Pressure", unit: "bar" }],
      format: "json",
      retention: 90
    })
  )
  yield* as(createDevices([{ name: "p1", profileId: profile.id }], () => ""))
  let sent = 0
  /** Commits a batch with one reading, whose value counts up from 1. */
  const commit = Effect.suspend(() => {
    const value = ++sent
    const readings = [{ key: "pressure", at: now - 60_000 + value, value }]
    const payload = Buffer.from(JSON.stringify({ readings }))
    return intake.receive([
      { from: { tenant: slug, device: "p1" }, topic: "t", payload, format: "json", receivedAt: now }
    ])
  })
  const { asked, database } = yield* counting
  const live = yield* Effect.provideService(makeLiveReadings, Database, database)
  const reader = (filter: ReadingFilter = {}) =>
    readingReader(tenantId, filter, { current: Effect.succeed(system(tenantId)) }).pipe(
      Effect.provideContext(Context.make(LiveReadings, live).pipe(Context.add(Policy, policy)))
    )
  return { asked, commit, live, reader, stored, tenantId }
})

type Reader = Effect.Success<ReturnType<Effect.Success<typeof open>["reader"]>>

const valuesOf = (step: ReadingStep): ReadonlyArray<number> =>
  step.kind === "batch"
    ? (JSON.parse(`[${step.json}]`) as ReadonlyArray<{ readonly value: number }>).map(({ value }) => value)
    : []

/** Pulls until a value came; what came on the way. */
const pullUntil = (reader: Reader, last: number) =>
  Effect.gen(function* () {
    const steps: Array<ReadingStep> = []
    while (!steps.flatMap(valuesOf).includes(last)) steps.push(yield* reader.next)
    return steps
  }).pipe(Effect.timeout("20 seconds"))

const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, place) => first + place)

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations }), { excludeTestServices: true })(
  "live readings",
  (it) => {
    it.effect("are_shown_once_and_in_order_whichever_batches_came_from_memory_and_in_which_order", () =>
      Effect.gen(function* () {
        const context = yield* Effect.context<Database>()
        const run = (offers: ReadonlyArray<number>) =>
          Effect.gen(function* () {
            const { commit, live, reader, stored } = yield* open
            const watching = yield* reader()
            const heard = yield* Effect.forkChild(pullUntil(watching, 12))
            for (let batch = 0; batch < 12; batch++) yield* commit
            for (const place of offers) {
              live.offer(stored[place]!)
              yield* Effect.yieldNow
            }
            const steps = yield* Fiber.join(heard)
            assert.deepStrictEqual(steps.flatMap(valuesOf), upTo(12))
            assert.isTrue(steps.every(({ kind }) => kind === "batch"))
          }).pipe(Effect.scoped, Effect.provideContext(context))
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(fc.shuffledSubarray(upTo(11, 0)), (offers) => Effect.runPromise(run(offers) as never)),
            { numRuns: 25 }
          )
        )
      })
    )

    it.effect("may_come_before_anybody_has_said_that_they_are_there", () =>
      Effect.gen(function* () {
        const { commit, tenantId } = yield* open
        const source = makeSource(tenantId, new WeakMap(), 0)
        for (let batch = 1; batch <= 3; batch++) yield* commit
        assert.isTrue(source.heard(1))
        yield* source.advance
        assert.deepStrictEqual([source.reached(), source.head()], [3, 3])
        assert.isFalse(source.heard(3))
      })
    )

    it.effect("go_on_for_who_heard_of_them_elsewhere_before_they_were_heard_of_here", () =>
      Effect.gen(function* () {
        const { commit, reader } = yield* open
        yield* reader()
        for (let batch = 1; batch <= 20; batch++) {
          yield* commit
          const back = yield* reader({ after: String(batch) })
          const next = yield* Effect.forkChild(back.next)
          yield* Effect.yieldNow
          yield* commit
          batch++
          assert.deepStrictEqual(valuesOf(yield* Fiber.join(next)), [batch])
        }
      })
    )

    it.effect("of_another_process_are_read_once_however_many_watch", () =>
      Effect.gen(function* () {
        const { asked, commit, reader } = yield* open
        const readers = yield* Effect.forEach(upTo(500), () => reader())
        // The device is known from here on.
        yield* commit
        yield* Effect.forEach(readers, (one) => pullUntil(one, 1), { concurrency: "unbounded" })
        const before = asked()
        const began = Date.now()
        for (let batch = 2; batch <= 11; batch++) {
          yield* commit
          const steps = yield* Effect.forEach(readers, (one) => pullUntil(one, batch), { concurrency: "unbounded" })
          assert.strictEqual(steps.flat().length, 500)
        }
        // Four for each batch (tenant, batches, readings, registry), and the polls meanwhile.
        const polls = Math.ceil((Date.now() - began) / 250) + 1
        assert.isAtMost(asked() - before, 10 * 4 + polls)
      })
    )

    it.effect("of_this_process_are_not_read_at_all", () =>
      Effect.gen(function* () {
        const { asked, commit, live, reader, stored } = yield* open
        const watching = yield* reader()
        yield* commit
        live.offer(stored[0]!)
        yield* pullUntil(watching, 1)
        const before = asked()
        const began = Date.now()
        for (let batch = 2; batch <= 11; batch++) {
          yield* commit
          live.offer(stored.at(-1)!)
          yield* pullUntil(watching, batch)
        }
        const polls = Math.ceil((Date.now() - began) / 250) + 1
        // The tenant of the transaction, for each.
        assert.isAtMost(asked() - before, 10 + polls)
      })
    )

    it.effect("skip_to_the_head_for_who_is_too_far_behind_while_others_go_on", () =>
      Effect.gen(function* () {
        const { commit, live, reader, stored } = yield* open
        const slow = yield* reader()
        const quick = yield* reader()
        yield* commit
        live.offer(stored.at(-1)!)
        yield* pullUntil(slow, 1)
        const all = mostBatches + 40
        for (let batch = 2; batch <= all; batch++) {
          yield* commit
          live.offer(stored.at(-1)!)
          assert.deepStrictEqual((yield* pullUntil(quick, batch)).flatMap(valuesOf), batch === 2 ? [1, 2] : [batch])
        }
        assert.deepStrictEqual(yield* slow.next, {
          kind: "gap",
          after: 1,
          to: all,
          since: new Date(now - 60_000 + 2).toISOString()
        })
        yield* commit
        assert.deepStrictEqual(valuesOf(yield* slow.next), [all + 1])
        // Whoever was cut off and comes back has it all.
        const back = yield* reader({ after: "1" })
        const steps = yield* pullUntil(back, all + 1)
        assert.deepStrictEqual(steps.flatMap(valuesOf), upTo(all + 1, 2))
        assert.isTrue(steps.every(({ kind }) => kind === "batch"))
      })
    )

    it.effect("cost_nothing_when_nobody_watches_any_more", () =>
      Effect.gen(function* () {
        const { asked, commit, live, reader, stored } = yield* open
        yield* Effect.scoped(
          Effect.gen(function* () {
            const watching = yield* reader()
            yield* commit
            yield* pullUntil(watching, 1)
          })
        )
        yield* Effect.sleep("300 millis")
        const before = asked()
        yield* commit
        live.offer(stored.at(-1)!)
        yield* Effect.sleep("700 millis")
        assert.strictEqual(asked(), before)
      })
    )
  }
)
