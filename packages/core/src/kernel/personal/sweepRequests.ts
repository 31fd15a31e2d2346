/** Requests that nobody works on get their job again, and copies that had their day go. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { BlobStore } from "../../ports/BlobStore.ts"
import { PlatformTx, withPlatform } from "../db/Database.ts"
import { insertJobs } from "../jobs/enqueue.ts"
import { exportKey } from "./export.ts"
import { type RequestKind, topicOf } from "./requests.ts"

/** Hours after which a copy that could not be made is given up. An erasure never is. */
const patience = 72

interface Row {
  readonly tenantId: string
  readonly id: string
}

/** One turn; every few minutes is enough. Indexes `person_request_waiting` and `person_request_expiry`. */
export const sweepPersonRequests = Effect.gen(function* () {
  const blobs = yield* BlobStore
  const now = yield* Clock.currentTimeMillis
  const gone = yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const given = new Date(now - patience * 3_600_000)
      const failed = yield* sql<Row>`
        update mahalla.person_request set state = 'failed', finished_at = ${new Date(now)}
        where kind = 'export' and state = 'waiting' and requested_at < ${given} returning tenant_id as "tenantId", id`
      const waiting = yield* sql<Row & { readonly kind: RequestKind }>`
        select tenant_id as "tenantId", id, kind from mahalla.person_request
        where state = 'waiting' and requested_at < ${new Date(now - 60_000)} order by requested_at limit 1000`
      // A key that is waiting already takes no second job.
      yield* insertJobs(
        sql,
        waiting.map(({ id, kind, tenantId }) => ({
          tenantId,
          topic: topicOf(kind),
          body: { requestId: id },
          uniqueKey: id
        }))
      )
      const expired = yield* sql<Row>`
        select tenant_id as "tenantId", id from mahalla.person_request
        where blob_key is not null and expires_at <= ${new Date(now)} order by expires_at limit 1000`
      return [...failed, ...expired]
    })
  )
  // The blob goes first, so that a crash leaves a row that asks for it again.
  for (const { id, tenantId } of gone) {
    yield* blobs.delete(exportKey(tenantId, id))
    yield* withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) => sql`
          update mahalla.person_request set blob_key = null, state = case state when 'done' then 'expired' else state end
          where tenant_id = ${tenantId} and id = ${id}`
      )
    )
  }
  return gone.length
})
