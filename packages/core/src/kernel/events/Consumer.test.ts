import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { appendEvent } from "./append.ts"
import { catchUp, failingConsumers, type Consumer } from "./Consumer.ts"
import { defineEvent } from "./Event.ts"
import { sequence } from "./sequencer.ts"

const Happened = defineEvent({ id: "test.happened", payload: Schema.Struct({ value: Schema.Number }) })
const Other = defineEvent({ id: "test.other", payload: Schema.Struct({ value: Schema.Number }) })

const write = (tenantId: string, values: ReadonlyArray<number>) =>
  Effect.andThen(
    withTenant(tenantId)(Effect.forEach(values, (value) => appendEvent(Happened, { value }), { discard: true })),
    withPlatform(sequence())
  )

let made = 0

/** Keeps what it hears in the database, in the transaction of its cursor. */
const recorder = (fails: (value: number, tenantId: string) => boolean = () => false) => {
  const id = `test.recorder-${++made}`
  const consumer: Consumer<unknown, never> = {
    id,
    types: [Happened.id],
    handle: (event) =>
      Effect.gen(function* () {
        const { sql, tenantId } = yield* TenantTx
        const value = event.payload["value"] as number
        yield* sql`
          insert into mahalla.rate_limit (tenant_id, key, arrival) values (${tenantId}, ${`${id}:${value}:${event.id}`}, ${Number(event.position)})`
        if (fails(value, tenantId)) return yield* Effect.fail(new Error(`${value} is too much`))
      })
  }
  const heard = (tenantId: string) =>
    withTenant(tenantId)(
      Effect.flatMap(TenantTx, ({ sql }) =>
        Effect.map(
          sql<{ key: string }>`select key from mahalla.rate_limit where starts_with(key, ${`${id}:`}) order by arrival`,
          (rows) => rows.map((row) => Number(row.key.split(":")[1]))
        )
      )
    )
  const cursor = (tenantId: string) =>
    withTenant(tenantId)(
      Effect.flatMap(TenantTx, ({ sql }) =>
        Effect.map(
          sql<{ position: bigint; failures: number; waits: boolean; error: string | null }>`
            select position, failures, retry_at > now() as waits, last_error as error from mahalla.event_cursor where consumer = ${id}`,
          (rows) => rows[0]
        )
      )
    )
  /** As when the pause after a failure has passed. */
  const due = withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`update mahalla.event_cursor set retry_at = now() - interval '1 second' where consumer = ${id}`
    )
  )
  return { consumer, heard, cursor, due }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

// Failures are logged, and here they are meant.
const quiet = Logger.layer([])

layer(Layer.merge(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 16 }), quiet), {
  excludeTestServices: true
})("consumers", (it) => {
  it.effect("hear_every_event_once_and_in_order_however_many_run", () =>
    Effect.gen(function* () {
      const tenants = [yield* createTenant(), yield* createTenant()]
      const { consumer, heard } = recorder()
      const writing = Effect.forEach(
        numbers(1, 12),
        (round) =>
          Effect.forEach(tenants, ({ tenantId }) => write(tenantId, numbers(round * 10 - 9, round * 10)), {
            discard: true
          }),
        { discard: true }
      )
      const consuming = Effect.repeat(catchUp(consumer), { times: 20 })
      yield* Effect.all([writing, consuming, consuming, consuming], { concurrency: "unbounded", discard: true })
      yield* catchUp(consumer)
      for (const { tenantId } of tenants) assert.deepStrictEqual(yield* heard(tenantId), numbers(1, 120))
    })
  )

  it.effect("pass_by_what_they_did_not_ask_for", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const { consumer, cursor, heard } = recorder()
      yield* withTenant(tenantId)(
        Effect.forEach([Other, Happened, Other], (type, value) => appendEvent(type, { value }), { discard: true })
      )
      yield* withPlatform(sequence())
      yield* catchUp(consumer)
      assert.deepStrictEqual(yield* heard(tenantId), [1])
      assert.strictEqual((yield* cursor(tenantId))?.position, 3n)
    })
  )

  it.effect("wait_at_an_event_they_cannot_take_in_that_tenant_only_and_lose_nothing_before_it", () =>
    Effect.gen(function* () {
      const [ill, well] = [yield* createTenant(), yield* createTenant()]
      let broken = true
      const { consumer, cursor, due, heard } = recorder(
        (value, tenantId) => broken && value === 5 && tenantId === ill.tenantId
      )
      yield* write(ill.tenantId, numbers(1, 8))
      yield* write(well.tenantId, numbers(1, 8))
      yield* catchUp(consumer)
      assert.deepStrictEqual(yield* heard(well.tenantId), numbers(1, 8))
      // The whole batch went back with the one that failed; next time it goes one by one, up to the one that fails.
      assert.deepStrictEqual(yield* heard(ill.tenantId), [])
      assert.deepInclude(yield* cursor(ill.tenantId), { position: 0n, failures: 1, waits: true })
      assert.match((yield* cursor(ill.tenantId))!.error!, /5 is too much/)
      const failing = (yield* withPlatform(failingConsumers)).filter(({ error }) => error.includes("5 is too much"))
      assert.deepStrictEqual(
        failing.map(({ consumer: name, failures, position }) => [name, failures, position]),
        [[consumer.id, 1, 0]]
      )
      yield* catchUp(consumer)
      assert.deepStrictEqual(yield* heard(ill.tenantId), [], "it waits after a failure")
      for (let round = 0; round < 6; round++) {
        yield* due
        yield* catchUp(consumer)
      }
      assert.deepStrictEqual(yield* heard(ill.tenantId), numbers(1, 4))
      assert.strictEqual((yield* cursor(ill.tenantId))?.position, 4n)
      broken = false
      yield* due
      yield* catchUp(consumer)
      yield* catchUp(consumer)
      assert.deepStrictEqual(yield* heard(ill.tenantId), numbers(1, 8))
      assert.deepInclude(yield* cursor(ill.tenantId), { position: 8n, failures: 0, error: null })
    })
  )

  it.effect("wait_longer_after_each_failure_in_a_row", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const { consumer, cursor, due } = recorder(() => true)
      yield* write(tenantId, [1])
      const waits: Array<number> = []
      for (let round = 0; round < 5; round++) {
        yield* catchUp(consumer)
        const [row] = yield* withTenant(tenantId)(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql<{ seconds: number }>`
              select extract(epoch from retry_at - now())::float8 as seconds from mahalla.event_cursor where consumer = ${consumer.id}`
          )
        )
        waits.push(row!.seconds)
        yield* due
      }
      assert.strictEqual((yield* cursor(tenantId))?.failures, 5)
      for (const [index, wait] of waits.entries()) {
        const expected = index === 0 ? 1 : 2 ** index
        assert.isTrue(wait > expected - 0.7 && wait <= expected, `after ${index + 1} failures ${wait} s`)
      }
    })
  )

  it.effect("a_defect_is_a_failure_like_any_other", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const { consumer, cursor } = recorder(() => {
        throw new TypeError("a mistake of ours")
      })
      yield* write(tenantId, [1])
      assert.strictEqual(yield* catchUp(consumer), 0)
      assert.match((yield* cursor(tenantId))!.error!, /a mistake of ours/)
    })
  )
})
