/**
 * Carries jobs to a transport that is not PostgreSQL: after the commit, in batches. A batch is sent, then deleted here; what was sent and
 * not deleted is sent again under the same ids, which the transport keeps once.
 */
import * as Effect from "effect/Effect"
import { Queue } from "../../ports/Queue.ts"
import { PlatformTx, withPlatform } from "../db/Database.ts"

interface JobRow {
  readonly id: string
  readonly tenant_id: string
  readonly topic: string
  readonly body: unknown
  readonly priority: number
  readonly run_at: Date
  readonly unique_key: string | null
  readonly max_attempts: number
}

/** Jobs carried in one turn at most. */
export const relayBatch = 500

/** One turn; returns how many were carried. Run it under a lease. */
export const relayJobs = Effect.gen(function* () {
  const queue = yield* Queue
  const rows = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<JobRow>`
        select id, tenant_id, topic, body, priority::int as priority, run_at, unique_key, max_attempts::int as max_attempts
        from mahalla.job where state = 'ready' order by id limit ${relayBatch}`
    )
  )
  if (rows.length === 0) return 0
  yield* queue.send(
    rows.map((row) => ({
      id: row.id,
      tenantId: row.tenant_id,
      topic: row.topic,
      body: row.body,
      priority: row.priority,
      runAt: row.run_at.getTime(),
      maxAttempts: row.max_attempts,
      ...(row.unique_key === null ? {} : { uniqueKey: row.unique_key })
    }))
  )
  yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`delete from mahalla.job where id = any (${rows.map((row) => row.id)}::uuid[])`
    )
  )
  return rows.length
})
