/** Keys with which servers call: made, listed and revoked. A key acts as an app and does no more than the app may, nor than its scopes say. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { hashOfApiKey, newApiKey, prefixOf } from "../../kernel/http/apiKeys.ts"
import { newId } from "../../kernel/ids.ts"
import { sealName } from "../../kernel/personal/people.ts"
import { demandAllOf } from "../../kernel/policy/giving.ts"
import { demandEverywhere, Forbidden } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { ApiKeyCreated, ApiKeyRevoked } from "./events.ts"

export interface KeyRequest {
  readonly name: string
  readonly scopes: ReadonlyArray<string>
  readonly principalId?: string
  readonly days?: number
}

interface KeyRow {
  readonly id: string
  readonly principalId: string
  readonly name: string
  readonly prefix: string
  readonly scopes: ReadonlyArray<string>
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly lastUsedAt: Date | null
  readonly revokedAt: Date | null
}

export const keyView = (row: KeyRow) => ({
  ...row,
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  revokedAt: row.revokedAt?.toISOString() ?? null
})

const expiryOf = ({ days = 365 }: KeyRequest, now: number) => now + days * 86_400_000

/**
 * Whoever makes a key must have all that it may do, for as long as it lasts, and be there in person: a key that makes keys would never end,
 * and one of somebody who has a role for a day would not end with it.
 */
export const demandKeyRights = Effect.fnUntraced(function* (request: KeyRequest) {
  const { within } = yield* Actor
  yield* demandEverywhere("api-key.create")
  if (within !== undefined)
    return yield* new Forbidden({
      permission: "api-key.create",
      because: "no-permission",
      message: "A key makes no keys. Sign in to make one."
    })
  const scopes = request.scopes.map((scope) => scope.replace(/:own$/, ""))
  yield* demandAllOf(scopes, [], expiryOf(request, yield* Clock.currentTimeMillis))
})

const appOf = Effect.fnUntraced(function* ({ name, principalId }: KeyRequest) {
  const { sql, tenantId } = yield* TenantTx
  if (principalId === undefined) {
    const id = yield* newId
    yield* sql`insert into mahalla.principal (tenant_id, id, kind, name_sealed) values (${tenantId}, ${id}, 'app', ${yield* sealName(id, name)})`
    return id
  }
  const found = yield* sql`
    select from mahalla.principal
    where tenant_id = ${tenantId} and id = ${principalId} and kind = 'app' and status = 'active'`
  if (found.length === 1) return principalId
  return yield* new InvalidInput({
    issues: [{ pointer: "/principalId", detail: "There is no such app. Leave it out to make a new one." }]
  })
})

/** Makes a key; only here is it seen. */
export const createApiKey = Effect.fn("identity.createApiKey")(function* (request: KeyRequest) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const now = yield* Clock.currentTimeMillis
  const key = newApiKey()
  const row: KeyRow = {
    id: yield* newId,
    principalId: yield* appOf(request),
    name: request.name,
    prefix: prefixOf(key),
    scopes: request.scopes,
    createdAt: new Date(now),
    expiresAt: new Date(expiryOf(request, now)),
    lastUsedAt: null,
    revokedAt: null
  }
  yield* sql`
    insert into mahalla.api_key (tenant_id, id, principal_id, name, prefix, key_hash, scopes, created_by, created_at, expires_at)
    values (${tenantId}, ${row.id}, ${row.principalId}, ${row.name}, ${row.prefix}, ${hashOfApiKey(key)!}, ${row.scopes}::text[], ${actorId},
            ${row.createdAt}, ${row.expiresAt})`
  const { expiresAt, principalId, scopes } = row
  yield* appendEvent(
    ApiKeyCreated,
    { principalId, keyId: row.id, scopes, expiresAt: expiresAt.toISOString() },
    { actorId }
  )
  return { key, row }
})

/** The newest first; up to `limit` older than `before`. */
export const listApiKeys = Effect.fnUntraced(function* (
  principalId: string | undefined,
  before: string | undefined,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<KeyRow>`
    select id, principal_id as "principalId", name, prefix, scopes, created_at as "createdAt", expires_at as "expiresAt",
           last_used_at as "lastUsedAt", revoked_at as "revokedAt"
    from mahalla.api_key
    where tenant_id = ${tenantId} and (${principalId ?? null}::uuid is null or principal_id = ${principalId ?? null})
      and (${before ?? null}::uuid is null or id < ${before ?? null}::uuid)
    order by id desc limit ${limit}`
})

/** Ends a key with the next request. */
export const revokeApiKey = Effect.fn("identity.revokeApiKey")(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const [revoked] = yield* sql<{ principal_id: string }>`
    update mahalla.api_key set revoked_at = ${new Date(yield* Clock.currentTimeMillis)}
    where tenant_id = ${tenantId} and id = ${id} and revoked_at is null returning principal_id`
  if (revoked === undefined) return yield* new NotFound({ what: "key", id })
  yield* appendEvent(ApiKeyRevoked, { principalId: revoked.principal_id, keyId: id }, { actorId })
})
