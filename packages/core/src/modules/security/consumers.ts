/** What happens elsewhere and staff should know of, by the names of its events. */
import * as Effect from "effect/Effect"
import { AttachmentStored } from "../../kernel/attachments/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import { raiseAlert } from "./alerts.ts"
import type { Erased } from "../../kernel/Erased.ts"

/** Two people who send the same bytes: one of them did not film them. One who sends them again after a report of theirs has them asks twice for one matter. */
const sameClip = Effect.fnUntraced(function* (event: StoredEvent) {
  const { attachmentId, role, sha256 } = event.payload as typeof AttachmentStored.payload.Type
  if (role !== "original") return
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ senders: number }>`
    select count(distinct coalesce(owner_id::text, 'visitor'))::int as senders from mahalla.attachment
    where tenant_id = ${tenantId} and sha256 = ${sha256} and role = 'original' and state = 'stored' and (
      id = ${attachmentId} or owner_id is distinct from
        (select owner_id from mahalla.attachment where tenant_id = ${tenantId} and id = ${attachmentId}))`
  const { senders } = rows[0]!
  if (senders < 2) {
    // Index: attachment_of_hash. An upload that was begun anew is in no case.
    const again = yield* sql`
      select from mahalla.attachment a
      join mahalla.attachment o on o.tenant_id = a.tenant_id and o.sha256 = a.sha256 and o.role = 'original' and o.owner_id = a.owner_id
      where a.tenant_id = ${tenantId} and a.id = ${attachmentId} and o.id <> a.id and o.case_id is not null limit 1`
    if (again.length > 0)
      yield* raiseAlert({
        kind: "clip-again",
        originator: sha256,
        summary: `A file that stands in a report was sent again by the same person; its SHA-256 begins with ${sha256.slice(0, 12)}.`
      })
    return
  }
  yield* raiseAlert({
    kind: "same-clip",
    originator: sha256,
    summary: `${senders} people have sent the same file; its SHA-256 begins with ${sha256.slice(0, 12)}.`
  })
})

const text = (value: unknown) => (typeof value === "string" ? value : "unknown")

const handlers: Readonly<Record<string, (event: StoredEvent) => Effect.Effect<unknown, unknown, Erased>>> = {
  [AttachmentStored.id]: sameClip,
  "identity.refresh-reused": ({ payload }) =>
    raiseAlert({
      kind: "refresh-reused",
      originator: text(payload["principalId"]),
      summary: `A refresh token of ${text(payload["principalId"])} was used twice: somebody has copied it. The session was ended.`
    }),
  "payouts.held": ({ payload }) =>
    raiseAlert({
      kind: "many-payouts",
      originator: text(payload["principalId"]),
      summary: `${text(payload["principalId"])} is to be paid more often than ${text(payload["perDay"])} times a day. Further payouts wait.`
    }),
  "payouts.payee-changed": ({ payload }) =>
    payload["newDevice"] === true
      ? raiseAlert({
          kind: "payee-changed",
          originator: text(payload["principalId"]),
          summary: `${text(payload["principalId"])} has come on a new device and is to be paid elsewhere than before. Payout ${text(payload["payoutId"])} waits; settle it as failed if that was not they.`
        })
      : Effect.void,
  "audit.checkpoint-refused": ({ payload }) =>
    raiseAlert({
      kind: "checkpoint-refused",
      originator: text(payload["where"]),
      summary: `${text(payload["detail"])}`.slice(0, 500)
    })
}

export const alertConsumer: Consumer<unknown, Erased> = {
  id: "security.alerts",
  types: Object.keys(handlers),
  handle: (event) => handlers[event.type]!(event).pipe(Effect.asVoid)
}
