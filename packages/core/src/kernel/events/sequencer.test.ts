import fc from "fast-check"
import pg from "pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { type Database, PlatformTx, withPlatform, withTenant } from "../db/Database.ts"
import { createTenant, TestKernel, testKernel } from "../../testing/kernel.ts"
import { appendEvent } from "./append.ts"
import { defineEvent } from "./Event.ts"
import { headPosition, readEvents } from "./read.ts"
import { sequence, sequencerBatch } from "./sequencer.ts"

const Counted = defineEvent({ id: "test.counted", payload: Schema.Struct({ value: Schema.Number }) })

const clients = (url: Redacted.Redacted<string>, amount: number) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      Promise.all(
        Array.from({ length: amount }, async () => {
          const client = new pg.Client({ connectionString: Redacted.value(url) })
          await client.connect()
          return client
        })
      )
    ),
    (all) => Effect.promise(() => Promise.all(all.map((client) => client.end())))
  )

/** One tenant's order as stored. */
const order = (tenantId: string) => withTenant(tenantId)(readEvents(0n, 100_000))

const assertGapFree = (positions: ReadonlyArray<bigint>) =>
  assert.deepStrictEqual(
    positions,
    positions.map((_, index) => BigInt(index + 1))
  )

const append = (value: number) => appendEvent(Counted, { value })

layer(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 16 }), { excludeTestServices: true })(
  "sequencer",
  (it) => {
    /*
     * Writers read a counter under a lock, write an event that says what they read, and commit or roll back, in any interleaving, with the
     * sequencer running between any two steps. Whoever read a value comes after whoever wrote it.
     */
    it.effect(
      "orders_what_writers_do_without_gaps_and_never_an_effect_before_its_cause",
      () =>
        Effect.gen(function* () {
          const { admin: superuser, app } = yield* TestKernel
          const writers = yield* clients(app, 4)
          const services = yield* Effect.context<Database>()
          const run = Effect.runPromiseWith(services)
          const admin = (yield* clients(superuser, 1))[0]!
          yield* Effect.promise(() =>
            admin.query(
              "create table mahalla.counter (tenant_id uuid primary key, value int not null); grant select, insert, update on mahalla.counter to mahalla_app"
            )
          )
          const step = fc.record({
            writer: fc.nat({ max: 3 }),
            act: fc.constantFrom("begin", "write", "write", "commit", "commit", "rollback", "sequence", "sequence")
          })
          yield* Effect.promise(() =>
            fc.assert(
              fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 50 }), async (steps) => {
                const { tenantId } = await run(createTenant())
                await admin.query("insert into mahalla.counter values ($1, 0)", [tenantId])
                const open = new Set<number>()
                let holder: number | undefined
                const close = async (writer: number, how: "commit" | "rollback") => {
                  await writers[writer]!.query(how)
                  open.delete(writer)
                  if (holder === writer) holder = undefined
                }
                for (const { act, writer } of steps) {
                  const client = writers[writer]!
                  if (act === "sequence") await run(withPlatform(sequence()))
                  else if (act === "begin" && !open.has(writer)) {
                    await client.query("begin")
                    await client.query("select set_config('mahalla.tenant', $1, true)", [tenantId])
                    open.add(writer)
                  } else if (act === "write" && open.has(writer) && (holder === undefined || holder === writer)) {
                    holder = writer
                    const { rows } = await client.query<{ value: number }>(
                      "update mahalla.counter set value = value + 1 where tenant_id = $1 returning value",
                      [tenantId]
                    )
                    await client.query(
                      `with happened as (insert into mahalla.event (tenant_id, id, type, payload, occurred_at)
                         values ($1, gen_random_uuid(), 'test.counted', $2, now()) returning tenant_id, id)
                       insert into mahalla.event_outbox (tenant_id, event_id) select tenant_id, id from happened`,
                      [tenantId, JSON.stringify({ value: rows[0]!.value })]
                    )
                  } else if ((act === "commit" || act === "rollback") && open.has(writer)) await close(writer, act)
                }
                for (const writer of open) await close(writer, "commit")
                await run(withPlatform(sequence()))
                const events = await run(order(tenantId))
                assertGapFree(events.map((event) => event.position))
                const { rows } = await admin.query<{ value: number }>(
                  "select value from mahalla.counter where tenant_id = $1",
                  [tenantId]
                )
                // Nothing is lost, nothing is there twice, and each stands behind the one whose value it read.
                assert.deepStrictEqual(
                  events.map((event) => event.payload["value"]),
                  Array.from({ length: rows[0]!.value }, (_, index) => index + 1)
                )
              }),
              { numRuns: 25, seed: 7 }
            )
          )
        }).pipe(Effect.scoped),
      120_000
    )

    it.effect("two_at_once_leave_no_gap_and_give_no_place_twice", () =>
      Effect.gen(function* () {
        const tenants = [yield* createTenant(), yield* createTenant(), yield* createTenant()]
        const writing = Effect.forEach(
          Array.from({ length: 120 }, (_, index) => index),
          (value) => withTenant(tenants[value % 3]!.tenantId)(append(value)),
          { concurrency: 6, discard: true }
        )
        const sequencing = Effect.repeat(Effect.andThen(withPlatform(sequence()), Effect.sleep(3)), { times: 30 })
        yield* Effect.all([writing, sequencing, sequencing, sequencing], { concurrency: "unbounded", discard: true })
        yield* withPlatform(sequence())
        for (const { tenantId } of tenants) {
          const events = yield* order(tenantId)
          assert.strictEqual(events.length, 40)
          assertGapFree(events.map((event) => event.position))
          assert.strictEqual(new Set(events.map((event) => event.id)).size, 40)
          assert.strictEqual(yield* withTenant(tenantId)(headPosition), 40n)
        }
      })
    )

    it.effect("holds_nobody_back_behind_a_transaction_that_stays_open", () =>
      Effect.gen(function* () {
        const { app } = yield* TestKernel
        const { tenantId } = yield* createTenant()
        const [slow] = yield* clients(app, 1)
        yield* Effect.promise(async () => {
          await slow!.query("begin")
          await slow!.query("select set_config('mahalla.tenant', $1, true)", [tenantId])
          await slow!.query("select pg_current_xact_id()")
        })
        yield* withTenant(tenantId)(append(1))
        yield* withPlatform(sequence())
        assert.strictEqual((yield* order(tenantId)).length, 1)
        yield* Effect.promise(() => slow!.query("rollback"))
      }).pipe(Effect.scoped)
    )

    it.effect("says_how_far_each_tenant_grew_and_empties_its_outbox_in_batches", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* createTenant(), yield* createTenant()]
        yield* withTenant(one.tenantId)(Effect.forEach([1, 2, 3], append))
        yield* withTenant(two.tenantId)(append(1))
        const grown = yield* withPlatform(sequence())
        const mine = grown.filter((row) => row.tenantId === one.tenantId || row.tenantId === two.tenantId)
        assert.deepStrictEqual(
          mine
            .map((row) => [row.tenantId, row.position, row.amount])
            .toSorted((a, b) => Number(b[1]! as bigint) - Number(a[1]! as bigint)),
          [
            [one.tenantId, 3n, 3],
            [two.tenantId, 1n, 1]
          ]
        )
        assert.deepStrictEqual(yield* withPlatform(sequence()), [])
        const left = yield* withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql`select from mahalla.event_outbox`))
        assert.strictEqual(left.length, 0)
        const rows = sequencerBatch + 10
        yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) => sql`
              with made as (
                insert into mahalla.event (tenant_id, id, type, payload, occurred_at)
                select ${one.tenantId}, gen_random_uuid(), 'test.counted', '{}', now() from generate_series(1, ${rows})
                returning tenant_id, id)
              insert into mahalla.event_outbox (tenant_id, event_id) select tenant_id, id from made`
          )
        )
        assert.deepStrictEqual(
          [(yield* withPlatform(sequence()))[0]?.amount, (yield* withPlatform(sequence()))[0]?.amount],
          [sequencerBatch, 10]
        )
        assert.strictEqual(yield* withTenant(one.tenantId)(headPosition), BigInt(rows + 3))
      })
    )

    it.effect("a_rolled_back_turn_gives_the_same_places_again", () =>
      Effect.gen(function* () {
        const { tenantId } = yield* createTenant()
        yield* withTenant(tenantId)(Effect.forEach([1, 2], append))
        const lost = yield* Effect.exit(withPlatform(Effect.andThen(sequence(), Effect.fail("killed"))))
        assert.strictEqual(lost._tag, "Failure")
        assert.strictEqual((yield* order(tenantId)).length, 0)
        yield* withPlatform(sequence())
        assertGapFree((yield* order(tenantId)).map((event) => event.position))
      })
    )
  }
)
