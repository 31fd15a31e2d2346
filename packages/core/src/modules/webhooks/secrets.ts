/** Secrets of endpoints: made here, sealed with the tenant's key, shown once, replaced with an overlap. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import type { Place } from "../../kernel/personal/crypt.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { makeSecret, type SecretKind } from "./sign.ts"

export const secretColumn = sealedColumn("webhook_secret", "sealed")

/** Where a sealed secret stands, for whoever opens it outside of its tenant's transaction. */
export const secretPlace = (tenantId: string, id: string): Place => ({
  tenantId,
  table: secretColumn.table,
  column: secretColumn.column,
  row: id
})

/** Makes what an endpoint is to sign with; gives the ids of the new ones. */
export const addSecrets = Effect.fnUntraced(function* (endpointId: string, kinds: ReadonlyArray<SecretKind>) {
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  const ids: Array<string> = []
  for (const kind of kinds) {
    const id = yield* newId
    const { publicKey, text } = makeSecret(kind)
    yield* sql`
      insert into mahalla.webhook_secret (tenant_id, id, endpoint_id, kind, sealed, public_key, created_at)
      values (${tenantId}, ${id}, ${endpointId}, ${kind}, ${yield* secretColumn.seal(id, text)}, ${publicKey}, ${at})`
    ids.push(id)
  }
  return ids
})

/** Those in force end after some hours; earlier ends stay. */
export const endSecrets = Effect.fnUntraced(function* (
  endpointId: string,
  kinds: ReadonlyArray<SecretKind>,
  hours: number
) {
  const { sql, tenantId } = yield* TenantTx
  const until = new Date((yield* Clock.currentTimeMillis) + hours * 3_600_000)
  yield* sql`
    update mahalla.webhook_secret set expires_at = ${until}
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and kind = any (${kinds}::text[])
      and (expires_at is null or expires_at > ${until})`
  return until
})

/** What is shown once: the secret that the receiver verifies with, and the public key of a key pair. */
export const shownSecrets = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string; kind: SecretKind; sealed: string; publicKey: string | null }>`
    select id, kind, sealed, public_key as "publicKey" from mahalla.webhook_secret
    where tenant_id = ${tenantId} and id = any (${ids}::uuid[])`
  const shared = rows.find(({ kind }) => kind === "v1")
  return {
    secret: shared === undefined ? null : yield* secretColumn.open(shared.id, shared.sealed),
    publicKey: rows.find(({ kind }) => kind === "v1a")?.publicKey ?? null
  }
})
