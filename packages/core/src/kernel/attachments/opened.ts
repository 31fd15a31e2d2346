/** Who looked at originals: they show what copies hide, so each look is written down. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { Actor } from "../policy/Principal.ts"
import { type Attachment, OriginalOpened } from "./model.ts"

/** A player asks for a film in many parts: that is one look. */
const oneLook = { minutes: 10 } as const

/** Writes down that the actor opens an original, once for each look of theirs. Index `event_case`. */
export const noteOpened = Effect.fn("noteOpened")(function* (attachment: Attachment) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const since = DateTime.toDateUtc(DateTime.subtract(yield* DateTime.now, oneLook))
  const [known] = yield* sql`
    select from mahalla.event
    where tenant_id = ${tenantId} and case_id = ${attachment.caseId} and type = ${OriginalOpened.id} and actor_id = ${actor.id}
      and payload ->> 'attachmentId' = ${attachment.id} and occurred_at > ${since}
    limit 1`
  if (known === undefined)
    yield* appendEvent(
      OriginalOpened,
      { attachmentId: attachment.id },
      { ...(attachment.caseId === null ? {} : { caseId: attachment.caseId }), actorId: actor.id }
    )
})
