/** One-time links for staff: how the first administrator gets in before any SMS contract. */
import { createHash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { LinkIssued } from "./events.ts"
import { codeLimits, SignInRefused } from "./model.ts"

const hashOf = (token: string) => createHash("sha256").update(token).digest("base64url")

/** A token good for one sign-in within 15 minutes; only its hash is kept. */
export const issueLink = Effect.fn("identity.issueLink")(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const token = randomBytes(32).toString("base64url")
  yield* sql`
    insert into mahalla.sign_in_link (tenant_id, token_hash, principal_id, created_at, expires_at)
    values (${tenantId}, ${hashOf(token)}, ${principalId}, ${new Date(now)}, ${new Date(now + codeLimits.linkLife * 1000)})`
  yield* appendEvent(LinkIssued, { principalId })
  return token
})

/** Whose link it is; using it deletes it. */
export const useLink = Effect.fn("identity.useLink")(function* (token: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql<{ principal_id: string }>`
    delete from mahalla.sign_in_link l using mahalla.principal p
    where l.tenant_id = ${tenantId} and l.token_hash = ${hashOf(token)} and l.expires_at > ${now}
      and p.tenant_id = l.tenant_id and p.id = l.principal_id and p.status = 'active'
    returning l.principal_id`
  const row = rows[0]
  if (row === undefined)
    return yield* new SignInRefused({ message: "The link is used or too old. Ask for a new one: mahalla admin-link." })
  return row.principal_id
})
