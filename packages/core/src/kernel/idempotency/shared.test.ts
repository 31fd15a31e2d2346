/** Requests that share a transaction are each on their own: their answers, their failures, their tenant. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import pg from "pg"
import { inject } from "vitest"
import { createPrincipal, createTenant, TestKernel, testKernel } from "../../testing/kernel.ts"
import { afterCommit, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { sequence } from "../events/sequencer.ts"
import { enqueue } from "../jobs/enqueue.ts"
import { withIdempotencyShared } from "./idempotency.ts"
import { personalOfEvent } from "../personal/personalOfEvents.ts"
import { SharedTransactions } from "./shared.ts"

const Happened = defineEvent({
  id: "shared.happened",
  payload: Schema.Struct({ n: Schema.Int, part: Schema.Int, who: Schema.String }),
  personal: ["who"]
})

/** Two events and a job; the number as the answer. */
const happen = (n: number, uniqueKey?: string) =>
  Effect.gen(function* () {
    yield* appendEvent(Happened, { n, part: 1, who: `person ${n}` })
    yield* enqueue([{ topic: "effect", body: { n }, ...(uniqueKey === undefined ? {} : { uniqueKey }) }])
    yield* appendEvent(Happened, { n, part: 2, who: `person ${n}` })
    return { status: 201, body: { n } }
  })

interface Seen {
  readonly jobs: ReadonlyArray<number>
  readonly keys: number
  readonly transactions: number
}

const seen = (tenantId: string) =>
  withTenant(tenantId)(
    Effect.flatMap(TenantTx, ({ sql }) =>
      Effect.map(
        sql<Seen>`
          select array(select (body ->> 'n')::int from mahalla.job order by 1) as jobs,
            (select count(*)::int from mahalla.idempotency_key) as keys,
            (select count(distinct xmin::text)::int from mahalla.idempotency_key) as transactions`,
        (rows) => rows[0]!
      )
    )
  )

const city = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const principalId = (yield* createPrincipal(tenantId)).id
  const call = <A, E, R>(n: number, effect: Effect.Effect<{ status: number; body: A }, E, R>) =>
    withIdempotencyShared(tenantId, { route: "cases/report", key: `k-${n}`, body: { n }, principalId }, effect)
  return { tenantId, call }
})

const upTo = (n: number) => Array.from({ length: n }, (_, place) => place)
const atOnce = <A, E, R>(calls: ReadonlyArray<Effect.Effect<A, E, R>>) =>
  Effect.all(calls, { concurrency: "unbounded" })

const direct = Effect.flatMap(TestKernel, ({ admin }) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(admin) })
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )
)

const kernel = SharedTransactions.layer.pipe(
  Layer.provideMerge(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 30 }))
)

layer(kernel, { excludeTestServices: true })("shared transactions", (it) => {
  it.effect("hold_what_came_at_once_and_give_each_its_own_answer", () =>
    Effect.gen(function* () {
      const { call, tenantId } = yield* city
      const answers = yield* atOnce(upTo(100).map((n) => call(n, happen(n))))
      assert.deepStrictEqual(
        answers,
        upTo(100).map((n) => ({ answer: { status: 201, body: { n } }, replayed: false }))
      )
      const { jobs, keys, transactions } = yield* seen(tenantId)
      assert.deepStrictEqual([jobs, keys], [upTo(100), 100])
      assert.isBelow(transactions, 10)
    })
  )

  it.effect("keep_the_order_of_each_ones_events_and_its_personal_values", () =>
    Effect.gen(function* () {
      const { call, tenantId } = yield* city
      yield* atOnce(upTo(20).map((n) => call(n, happen(n))))
      yield* withPlatform(sequence())
      const events = yield* withTenant(tenantId)(
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          const rows = yield* sql<{ id: string; n: number; part: number }>`
            select e.id, (e.payload ->> 'n')::int as n, (e.payload ->> 'part')::int as part
            from mahalla.event_order o join mahalla.event e on e.tenant_id = o.tenant_id and e.id = o.event_id order by o.position`
          return yield* Effect.forEach(rows, (row) =>
            Effect.map(personalOfEvent(row.id), ([personal]) => ({ ...row, who: personal?.value }))
          )
        })
      )
      assert.deepStrictEqual(
        events.map(({ n, part, who }) => [n, part, who]),
        upTo(20).flatMap((n) => [1, 2].map((part) => [n, part, `person ${n}`]))
      )
    })
  )

  it.effect("tell_after_the_commit_once_for_each_that_was_written", () =>
    Effect.gen(function* () {
      const { call, tenantId } = yield* city
      const told = yield* Ref.make<ReadonlyArray<number>>([])
      const tell = (n: number) =>
        Effect.tap(happen(n), () =>
          // What one of them does wrong is its own.
          Effect.andThen(
            afterCommit(n === 2 ? Effect.die("a fault of two's") : Effect.void),
            afterCommit(
              Effect.flatMap(Effect.orDie(seen(tenantId)), ({ jobs }) =>
                Ref.update(told, (before) => [...before, jobs.includes(n) ? n : -1])
              )
            )
          )
        )
      yield* call(3, tell(3))
      yield* atOnce(upTo(6).map((n) => call(n, tell(n))))
      assert.deepStrictEqual(
        (yield* Ref.get(told)).toSorted((a, b) => a - b),
        upTo(6)
      )
    })
  )

  it.effect("a_body_that_fails_or_asks_has_a_transaction_of_its_own", () =>
    Effect.gen(function* () {
      const { call, tenantId } = yield* city
      const asking = (n: number) =>
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          const answer = yield* happen(n)
          const [row] = yield* sql<{ tenant: string }>`select mahalla.current_tenant() as tenant`
          return { ...answer, body: { n, tenant: row!.tenant } }
        })
      const results = yield* atOnce(
        upTo(30).map((n) => {
          if (n % 3 === 0) return Effect.result(call(n, happen(n)))
          return n % 3 === 1
            ? Effect.result(call(n, asking(n)))
            : Effect.result(call(n, Effect.andThen(happen(n), Effect.fail(`no ${n}`))))
        })
      )
      results.forEach((result, n) => {
        if (Result.isFailure(result)) return assert.deepStrictEqual([n % 3, result.failure], [2, `no ${n}`])
        const body = n % 3 === 0 ? { n } : { n, tenant: tenantId }
        assert.deepStrictEqual(result.success as unknown, { answer: { status: 201, body }, replayed: false })
      })
      const { jobs, keys } = yield* seen(tenantId)
      assert.deepStrictEqual(
        jobs,
        upTo(30).filter((n) => n % 3 !== 2)
      )
      assert.strictEqual(keys, 20)
    })
  )

  it.effect("a_row_that_postgresql_refuses_fails_its_own_request_alone", () =>
    Effect.gen(function* () {
      const { call, tenantId } = yield* city
      const refused = Effect.tap(happen(7), () => enqueue([{ topic: "NOT A TOPIC", body: {}, maxAttempts: 1_000_000 }]))
      const exits = yield* atOnce(upTo(20).map((n) => Effect.exit(call(n, n === 7 ? refused : happen(n)))))
      exits.forEach((exit, n) => assert.strictEqual(Exit.isFailure(exit), n === 7, `${n}`))
      const { jobs, keys } = yield* seen(tenantId)
      assert.deepStrictEqual(
        jobs,
        upTo(20).filter((n) => n !== 7)
      )
      assert.strictEqual(keys, 19)
    })
  )

  it.effect("tenants_never_share_one", () =>
    Effect.gen(function* () {
      const cities = yield* Effect.all([city, city, city])
      yield* atOnce(upTo(60).map((n) => cities[n % 3]!.call(n, happen(n))))
      for (const [place, { tenantId }] of cities.entries()) {
        const { jobs } = yield* seen(tenantId)
        assert.deepStrictEqual(
          jobs,
          upTo(60).filter((n) => n % 3 === place)
        )
      }
    })
  )

  it.effect("one_that_waits_for_a_lock_does_not_hold_up_the_others", () =>
    Effect.gen(function* () {
      const { call, tenantId } = yield* city
      const client = yield* direct
      yield* Effect.promise(() => client.query("begin"))
      yield* Effect.promise(() =>
        client.query(
          "insert into mahalla.job (tenant_id, id, topic, body, unique_key, priority, run_at, max_attempts) values ($1, gen_random_uuid(), 'effect', '{\"n\": 99}', 'taken', 0, now(), 1)",
          [tenantId]
        )
      )
      const waiting = yield* Effect.forkChild(call(0, happen(0, "taken")))
      yield* Effect.promise(async () => {
        for (;;) {
          // In this database: others of the server wait for locks of their own.
          const { rowCount } = await client.query(
            "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
          )
          if (rowCount !== 0) return
        }
      })
      const answers = yield* atOnce(upTo(10).map((n) => call(n + 1, happen(n + 1))))
      assert.lengthOf(answers, 10)
      assert.isUndefined(waiting.pollUnsafe())
      yield* Effect.promise(() => client.query("commit"))
      assert.isFalse((yield* Fiber.join(waiting)).replayed)
      assert.deepStrictEqual((yield* seen(tenantId)).jobs, [...upTo(11).slice(1), 99])
    })
  )

  it.effect("happen_once_whichever_connection_dies", () =>
    Effect.gen(function* () {
      const { call, tenantId } = yield* city
      const client = yield* direct
      let over = false
      const killer = yield* Effect.forkChild(
        Effect.promise(async () => {
          let killed = 0
          while (!over) {
            const { rowCount } = await client.query(
              `select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and application_name = 'mahalla-app' and state <> 'idle' order by random() limit 1`
            )
            killed += rowCount ?? 0
            await new Promise((settle) => setTimeout(settle, 3))
          }
          return killed
        })
      )
      // Until it is acknowledged, as a client would.
      const until = (n: number) => Effect.eventually(Effect.sandbox(call(n, happen(n))))
      yield* Effect.forEach(upTo(600), until, { concurrency: 40, discard: true })
      over = true
      assert.isAbove(yield* Fiber.join(killer), 3)
      // The pool still has sessions that are dead.
      const { jobs, keys } = yield* Effect.retry(Effect.sandbox(seen(tenantId)), {
        times: 100,
        schedule: Schedule.spaced("50 millis")
      })
      assert.deepStrictEqual([jobs, keys], [upTo(600), 600])
    })
  )
})
