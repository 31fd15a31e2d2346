import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Keys } from "../keys/Keys.ts"
import { PlatformTx, withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { sequence } from "../events/sequencer.ts"
import { newId, referenceOf } from "../ids.ts"
import { sealTenant } from "../transparency-log/seal.ts"
import { readLeaves } from "../transparency-log/sql.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { kernelRetention } from "./kernelRetention.ts"
import { retentionOf, RetentionRules, sweepTenant } from "./Retention.ts"

const Happened = defineEvent({
  id: "retention.happened",
  payload: Schema.Struct({ n: Schema.Int, who: Schema.String }),
  personal: ["who"]
})

const platform = <A extends object>(text: string, values: ReadonlyArray<unknown> = []) =>
  withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql.unsafe<A>(text, values)))

const sweep = (tenant: Parameters<typeof sweepTenant>[0]) =>
  Effect.provideService(sweepTenant(tenant), RetentionRules, kernelRetention)
const due = (tenant: Parameters<typeof sweepTenant>[0]) =>
  Effect.map(Effect.provideService(retentionOf(tenant), RetentionRules, kernelRetention), (states) =>
    Object.fromEntries(states.map((state) => [state.kind, [state.days, state.due]]))
  )

const rooms = Layer.provideMerge(
  Keys.layer(Redacted.make("a secret for the tests of retention, long enough")),
  testKernel({ postgresUrl: inject("postgresUrl") })
)
const clock = Effect.provide(TestClock.layer(), { local: true })

layer(rooms, { excludeTestServices: true })("retention", (it) => {
  it.effect("drops_nothing_before_its_day_and_says_beforehand_what_it_would_drop", () =>
    Effect.gen(function* () {
      // Ids ascend: where a test before this one was ahead of its time they still are, and so is this one's clock.
      yield* TestClock.setTime(Date.now())
      const began = Number.parseInt((yield* newId).replaceAll("-", "").slice(0, 12), 16)
      yield* TestClock.setTime(began)
      const tenant = yield* createTenant({ settings: { retention: { personalValues: 10, eventPayloads: 20 } } })
      const { tenantId } = tenant
      yield* withTenant(tenantId)(
        Effect.forEach([0, 1, 2], (n) => appendEvent(Happened, { n, who: `person ${n}` }), { discard: true })
      )
      yield* withPlatform(sequence())
      const kept = () =>
        platform<{ personal: number; payloads: number }>(
          `select (select count(*)::int from mahalla.event_personal where tenant_id = $1) as personal,
                  (select count(*)::int from mahalla.event where tenant_id = $1 and payload <> '{}') as payloads`,
          [tenantId]
        )
      yield* TestClock.adjust("9 days")
      assert.deepStrictEqual(yield* sweep(tenant), {})
      yield* TestClock.adjust("2 days")
      assert.deepInclude(yield* due(tenant), {
        personalValues: [10, 3],
        eventPayloads: [20, 0],
        idempotencyAnswers: [2, 0]
      })
      assert.deepStrictEqual(yield* kept(), [{ personal: 3, payloads: 3 }])
      assert.deepStrictEqual(yield* sweep(tenant), { personalValues: 3 })
      assert.deepStrictEqual(yield* kept(), [{ personal: 0, payloads: 3 }])

      // What is not in the log yet has no hash to be proved by.
      yield* TestClock.adjust("10 days")
      assert.deepStrictEqual(yield* sweep(tenant), {})
      yield* sealTenant(tenantId, { checkpointEvery: 0 })
      // Nor is what a consumer has not heard.
      yield* platform("insert into mahalla.event_cursor (tenant_id, consumer, position) values ($1, 'slow', 2)", [
        tenantId
      ])
      assert.deepStrictEqual(yield* sweep(tenant), { eventPayloads: 2 })
      yield* platform("update mahalla.event_cursor set position = 3 where tenant_id = $1", [tenantId])
      const before = yield* platform(
        "select level, number, hash from mahalla.log_node where tenant_id = $1 order by 1, 2",
        [tenantId]
      )
      assert.deepStrictEqual(yield* sweep(tenant), { eventPayloads: 1 })
      assert.deepStrictEqual(yield* kept(), [{ personal: 0, payloads: 0 }])
      // The order and every hash are what they were.
      assert.deepStrictEqual(
        yield* platform("select level, number, hash from mahalla.log_node where tenant_id = $1 order by 1, 2", [
          tenantId
        ]),
        before
      )
      const leaves = yield* withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => readLeaves({ sql, tenantId }, 0, 10)))
      assert.deepStrictEqual(
        leaves.map(({ dropped, leaf, position }) => [position, dropped, leaf]),
        [1, 2, 3].map((position) => [position, true, null])
      )
      // New events go on behind them.
      yield* withTenant(tenantId)(appendEvent(Happened, { n: 3, who: "somebody" }))
      yield* withPlatform(sequence())
      assert.strictEqual(yield* sealTenant(tenantId, { checkpointEvery: 0 }), 1)
    }).pipe(clock)
  )

  it.effect("drops_originals_of_cases_that_have_ended_and_no_others", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const tenant = yield* createTenant({ settings: { retention: { decidedOriginals: 30 } } })
      const { tenantId } = tenant
      const owner = yield* createPrincipal(tenantId)
      yield* platform(
        "insert into mahalla.case_type (id, version, definition) values ('matter', 1, '{}') on conflict do nothing"
      )
      const made: Record<string, string> = {}
      for (const phase of ["open", "closed"]) {
        const [caseId, id] = [yield* newId, yield* newId]
        made[phase] = id
        yield* platform(
          `insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, created_at, updated_at)
           values ($1, $2, 'matter', 1, $3, 'x', $4, '{}', '2026-01-01', '2026-01-01')`,
          [tenantId, caseId, referenceOf(caseId), phase]
        )
        yield* platform(
          `insert into mahalla.attachment (tenant_id, id, case_id, owner_id, role, kind, name, media_type, size, sha256, blob_key, state, created_at, stored_at)
           values ($1, $2, $3, $4, 'original', 'video', 'my street.mp4', 'video/mp4', 5, repeat('a', 64), 'k', 'stored', '2026-01-01', '2026-01-01')`,
          [tenantId, id, caseId, owner.id]
        )
      }
      yield* TestClock.adjust("29 days")
      assert.deepStrictEqual(yield* sweep(tenant), {})
      yield* TestClock.adjust("2 days")
      assert.deepInclude(yield* due(tenant), { decidedOriginals: [30, 1] })
      assert.deepStrictEqual(yield* sweep(tenant), { decidedOriginals: 1 })
      const rows = yield* platform("select id, state, name from mahalla.attachment where tenant_id = $1 order by id", [
        tenantId
      ])
      assert.deepStrictEqual(rows, [
        { id: made["open"], state: "stored", name: "my street.mp4" },
        { id: made["closed"], state: "deleted", name: null }
      ])
      const events = yield* platform("select type from mahalla.event where tenant_id = $1", [tenantId])
      assert.deepStrictEqual(events, [{ type: "attachment.expired" }])
    }).pipe(clock)
  )

  it.effect("keeps_what_a_tenant_wants_kept", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const tenant = yield* createTenant({ settings: { retention: { idempotencyAnswers: null } } })
      yield* platform(
        `insert into mahalla.idempotency_key (tenant_id, principal_id, route, key, body_hash, status, created_at)
         values ($1, gen_random_uuid(), 'r', 'k', 'h', 201, '2020-01-01')`,
        [tenant.tenantId]
      )
      assert.deepInclude(yield* due(tenant), { idempotencyAnswers: [null, 0] })
      assert.deepStrictEqual(yield* sweep(tenant), {})
    }).pipe(clock)
  )
})
