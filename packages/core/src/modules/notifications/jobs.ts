/** Sending what was written down, one message or a part of a broadcast at a time, and looking after those that did not arrive. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { defineJob, JobFailure } from "../../kernel/jobs/Job.ts"
import { sendOne } from "./send.ts"
import { lookAt } from "./settle.ts"

export const sendMessage = defineJob({
  topic: "notifications.send",
  payload: Schema.Struct({ messageId: Schema.String }),
  timeout: 60_000,
  run: ({ messageId }, job) => sendOne(job.tenantId, messageId, job)
})

export const fallBack = defineJob({
  topic: "notifications.fall-back",
  payload: Schema.Struct({ messageId: Schema.String }),
  timeout: 60_000,
  run: ({ messageId }, job) => withTenant(job.tenantId)(lookAt(messageId))
})

/** Messages of a part that are handed over at once. */
const atOnce = 4

/** A part of a broadcast: its messages from one id to another, both included. */
export const sendPart = defineJob({
  topic: "notifications.send-part",
  payload: Schema.Struct({ broadcastId: Schema.String, from: Schema.String, to: Schema.String }),
  timeout: 280_000,
  concurrency: 4,
  run: ({ broadcastId, from, to }, job) =>
    Effect.gen(function* () {
      const rows = yield* withTenant(job.tenantId)(
        Effect.gen(function* () {
          const { sql, tenantId } = yield* TenantTx
          // Index: message_open.
          return yield* sql<{ id: string }>`
            select id from mahalla.message
            where tenant_id = ${tenantId} and event_id = ${broadcastId} and id between ${from} and ${to} and state in ('queued', 'unknown')
              and (send_at is null or send_at <= ${new Date(yield* Clock.currentTimeMillis)}) order by id`
        })
      )
      const failed = yield* Effect.forEach(
        rows,
        ({ id }) =>
          Effect.match(sendOne(job.tenantId, id, job), { onSuccess: () => undefined, onFailure: (error) => error }),
        { concurrency: atOnce }
      )
      const left = failed.filter((error) => error !== undefined)
      if (left.length > 0)
        return yield* new JobFailure({
          message: `${left.length} of ${rows.length} messages are tried again: ${left[0] instanceof Error ? left[0].message : String(left[0])}`,
          permanent: false
        })
    })
})
