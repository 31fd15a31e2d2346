/** Sending what was written down. Our id goes with it, so a repeat after a lost answer is recognised by channels that can. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { defineJob, JobFailure } from "../../kernel/jobs/Job.ts"
import { mask } from "../../kernel/mask.ts"
import { phoneOf } from "../../kernel/personal/people.ts"
import { Messengers } from "../../kernel/ports.ts"

interface Pending {
  readonly id: string
  readonly channel: string
  readonly text: string
  readonly language: string
  readonly state: string
  readonly phone: string | null
}

/** A message that is to be sent, with the address that its person has now. */
const pending = Effect.fnUntraced(function* (messageId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<Pending & { readonly personId: string; readonly phone_sealed: string | null }>`
    select m.id, m.channel, m.text, m.language, m.state, p.id as "personId", p.phone, p.phone_sealed from mahalla.message m
    join mahalla.principal p on p.tenant_id = m.tenant_id and p.id = m.principal_id
    where m.tenant_id = ${tenantId} and m.id = ${messageId}`
  if (row === undefined || row.state !== "queued") return undefined
  return { ...row, phone: yield* phoneOf({ ...row, id: row.personId }) }
})

const settle = Effect.fnUntraced(function* (id: string, state: string, detail: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`update mahalla.message set state = ${state}, detail = ${detail === null ? null : mask(detail)}, changed_at = ${at} where tenant_id = ${tenantId} and id = ${id}`
})

export const sendMessage = defineJob({
  topic: "notifications.send",
  payload: Schema.Struct({ messageId: Schema.String }),
  timeout: 60_000,
  run: ({ messageId }, job) =>
    Effect.gen(function* () {
      const inside = withTenant(job.tenantId)
      const message = yield* inside(pending(messageId))
      if (message === undefined) return
      if (message.phone === null)
        return yield* inside(settle(messageId, "failed", "The person has no address any more."))
      const messenger = (yield* Messengers).get(message.channel)
      if (messenger === undefined) {
        return yield* new JobFailure({
          message: `The city has no messenger ${message.channel} any more. Add it again or discard the message.`,
          permanent: false
        })
      }
      const outcome = yield* messenger.send({
        id: message.id,
        tenantId: job.tenantId,
        to: message.phone,
        text: message.text,
        language: message.language,
        class: "notice"
      })
      yield* inside(settle(messageId, outcome.state, outcome.state === "accepted" ? null : outcome.message))
    })
})
