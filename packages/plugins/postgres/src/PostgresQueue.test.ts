import { randomUUID } from "node:crypto"
import { HostDatabase, Queue } from "@mahalla/core/plugin"
import { QueueControl, queueSuite } from "@mahalla/core/testing"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import { layerQueue } from "./PostgresQueue.ts"
import { asAdmin, database, terminate } from "./test/database.ts"

const queue = layerQueue().pipe(Layer.provide(Layer.succeed(HostDatabase, database.host)))
const control = Layer.succeed(QueueControl, {
  cut: Effect.forEach(["mahalla-queue", "mahalla-listen", "mahalla-notify"], terminate, { discard: true })
})

queueSuite.run({ describe, it }, { name: "postgres", layer: Layer.merge(queue, control) })

it("completes_by_the_index_although_the_statistics_say_that_the_table_is_empty", async () => {
  const topic = "test.statistics"
  const work = Effect.gen(function* () {
    const service = yield* Queue
    const fill = service.send(
      Array.from({ length: 8_000 }, () => ({ id: randomUUID(), tenantId: randomUUID(), topic, body: {} }))
    )
    const drain = (limit: number) =>
      Effect.gen(function* () {
        const got = yield* service.receive({ topics: [topic], limit, lease: 60_000, worker: "test" })
        yield* service.complete(got.map(({ receipt }) => receipt))
        return got.length
      })
    const scanned = Effect.andThen(
      Effect.sleep("1500 millis"),
      asAdmin("select coalesce(seq_tup_read, 0)::int8 as read from pg_stat_user_tables where relname = 'job'")
    ).pipe(Effect.map(([row]) => Number(row?.["read"])))
    yield* fill
    yield* drain(10_000)
    yield* asAdmin("vacuum (truncate false, analyze) mahalla.job")
    yield* fill
    const before = yield* scanned
    for (let round = 0; round < 8; round++) assert.strictEqual(yield* drain(1_000), 1_000)
    // A nested loop over the whole table would have read millions.
    assert.isBelow((yield* scanned) - before, 100_000)
  })
  await Effect.runPromise(Effect.provide(work, queue))
})
