/** Telling people what happened to their account, on the channel that the city has. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { defineJob } from "../../kernel/jobs/Job.ts"
import { phoneOf, type PhoneRow } from "../../kernel/personal/people.ts"
import { Messengers } from "../../kernel/ports.ts"
import { type NoticeKind, noticeKinds, noticeText } from "./texts.ts"

/** With the transaction of what happened. */
export const tellPerson = (principalId: string, kind: NoticeKind) =>
  enqueue([{ topic: "identity.tell", body: { principalId, kind } }])

/** A real channel when the city has one, else the outbox that operators read. */
export const personalChannel = Effect.gen(function* () {
  const all = [...(yield* Messengers).values()]
  return all.find((messenger) => messenger.channel === "sms") ?? all.find((messenger) => messenger.channel === "outbox")
})

export const tellJob = defineJob({
  topic: "identity.tell",
  payload: Schema.Struct({ principalId: Schema.String, kind: Schema.Literals(noticeKinds) }),
  timeout: 60_000,
  run: ({ kind, principalId }, job) =>
    Effect.gen(function* () {
      const [found] = yield* withTenant(job.tenantId)(
        Effect.gen(function* () {
          const { sql, tenantId } = yield* TenantTx
          const rows = yield* sql<PhoneRow & { readonly language: string; readonly city: string }>`
            select p.id, p.phone, p.phone_sealed, p.language, t.name as city
            from mahalla.principal p join mahalla.tenant t on t.tenant_id = p.tenant_id
            where p.tenant_id = ${tenantId} and p.id = ${principalId} and p.status = 'active'`
          return yield* Effect.forEach(rows, (row) => Effect.map(phoneOf(row), (phone) => ({ ...row, phone })))
        })
      )
      const messenger = yield* personalChannel
      // Staff who sign in by link have no address yet.
      if (found === undefined || found.phone === null || messenger === undefined) return
      yield* messenger.send({
        id: job.id,
        tenantId: job.tenantId,
        to: found.phone,
        text: noticeText(kind, found.city, found.language),
        language: found.language,
        class: "notice"
      })
    })
})
