import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { inject } from "vitest"
import { Queue } from "../../ports/Queue.ts"
import { memoryQueue } from "../../testing/Queue.memory.ts"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { enqueue } from "./enqueue.ts"
import { relayJobs } from "./relay.ts"

const kernel = Layer.merge(testKernel({ postgresUrl: inject("postgresUrl") }), memoryQueue())

const waiting = Effect.flatMap(TenantTx, ({ sql }) => sql<{ topic: string }>`select topic from mahalla.job`)

layer(kernel, { excludeTestServices: true })("relay to a transport that is not PostgreSQL", (it) => {
  it.effect("carries_committed_jobs_and_no_others", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const queue = yield* Queue
      yield* withTenant(tenantId)(enqueue([{ topic: "a.kept", body: { n: 1 }, uniqueKey: "k" }]))
      yield* withTenant(tenantId)(
        Effect.andThen(enqueue([{ topic: "a.undone", body: {} }]), Effect.fail("rolled back"))
      ).pipe(Effect.flip)
      assert.strictEqual(yield* relayJobs, 1)
      assert.strictEqual(yield* relayJobs, 0)
      assert.deepStrictEqual(yield* withTenant(tenantId)(waiting), [])
      const got = yield* queue.receive({ topics: ["a.kept", "a.undone"], limit: 10, lease: 10_000, worker: "w" })
      assert.deepStrictEqual(
        got.map(({ body, tenantId: of, topic }) => ({ topic, body, of })),
        [{ topic: "a.kept", body: { n: 1 }, of: tenantId }]
      )
    })
  )

  it.effect("keeps_jobs_here_while_the_transport_is_down", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const queue = yield* Queue
      yield* withTenant(tenantId)(enqueue([{ topic: "b.later", body: {} }]))
      const down = { ...queue, send: () => Effect.fail("down" as never) }
      yield* Effect.flip(Effect.provideService(relayJobs, Queue, down))
      assert.strictEqual((yield* withTenant(tenantId)(waiting)).length, 1)
      yield* relayJobs
      assert.strictEqual(
        (yield* queue.receive({ topics: ["b.later"], limit: 10, lease: 10_000, worker: "w" })).length,
        1
      )
    })
  )
})
