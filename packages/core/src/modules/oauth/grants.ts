/** What citizens let apps do: kept, found, listed, revoked. The revoke mark is the one truth that every code and token is judged by. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { AdapterPayload } from "oidc-provider"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { ConsentGiven, ConsentRevoked } from "./model.ts"

export type RevokedBy = "citizen" | "app" | "reuse"

const scopesOf = (payload: AdapterPayload): ReadonlyArray<string> => {
  const { openid, resources = {} } = payload as { openid?: { scope?: string }; resources?: Record<string, string> }
  const texts = [openid?.scope ?? "", ...Object.values(resources)]
  return [...new Set(texts.flatMap((text) => text.split(" ")).filter((scope) => scope !== ""))]
}

/** Keeps a grant; one that was revoked stays so. */
export const keepGrant = Effect.fn("oauth.keepGrant")(function* (id: string, payload: AdapterPayload, life: number) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const appId = String(payload.clientId)
  const principalId = String(payload.accountId)
  const scopes = scopesOf(payload)
  const made = yield* sql<{ fresh: boolean }>`
    insert into mahalla.oauth_grant (tenant_id, id, client_id, principal_id, scopes, payload, created_at, expires_at)
    values (${tenantId}, ${id}, ${appId}, ${principalId}, ${scopes}::text[], ${JSON.stringify(payload)}::text::jsonb, ${new Date(now)},
      ${new Date(now + life * 1000)})
    on conflict (tenant_id, id) do update set scopes = excluded.scopes, payload = excluded.payload
    returning created_at = ${new Date(now)} as fresh`
  if (made[0]?.fresh === true)
    yield* appendEvent(ConsentGiven, { appId, principalId, scopes }, { actorId: principalId })
})

export const findGrant = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* sql<{ payload: AdapterPayload }>`
    select payload from mahalla.oauth_grant
    where tenant_id = ${tenantId} and id = ${id} and revoked_at is null and expires_at > ${now}`
  return row?.payload
})

interface RevokedRow {
  readonly client_id: string
  readonly principal_id: string
}

const announce = (rows: ReadonlyArray<RevokedRow>, by: RevokedBy) =>
  Effect.forEach(
    rows,
    ({ client_id: appId, principal_id: principalId }) =>
      appendEvent(ConsentRevoked, { appId, principalId, by }, { actorId: by === "citizen" ? principalId : null }),
    { discard: true }
  )

/** Marks one grant; calling it again changes nothing. */
export const revokeGrant = Effect.fn("oauth.revokeGrant")(function* (id: string, by: RevokedBy) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql<RevokedRow>`
    update mahalla.oauth_grant set revoked_at = ${now}, revoked_by = ${by}
    where tenant_id = ${tenantId} and id = ${id} and revoked_at is null returning client_id, principal_id`
  yield* announce(rows, by)
})

/** Everything that a citizen let an app do; how many grants that were. Index `oauth_grant_principal`. */
export const revokeApp = Effect.fn("oauth.revokeApp")(function* (principalId: string, clientId: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql<RevokedRow>`
    update mahalla.oauth_grant set revoked_at = ${now}, revoked_by = 'citizen'
    where tenant_id = ${tenantId} and principal_id = ${principalId} and client_id = ${clientId} and revoked_at is null
    returning client_id, principal_id`
  yield* announce(rows.slice(0, 1), "citizen")
  return rows.length
})

export interface ConsentedApp {
  readonly id: string
  readonly name: string
  readonly homepage: string | null
  readonly scopes: ReadonlyArray<string>
  readonly since: Date
  readonly until: Date
}

/** The apps that may act for somebody now, by name. Index `oauth_grant_principal`. */
export const consentedApps = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  return yield* sql<ConsentedApp>`
    select c.id, c.name, c.homepage, min(g.created_at) as since, max(g.expires_at) as until,
      (select array_agg(distinct scope order by scope) from mahalla.oauth_grant o, unnest(o.scopes) scope
       where o.tenant_id = ${tenantId} and o.principal_id = ${principalId} and o.client_id = c.id and o.revoked_at is null
         and o.expires_at > ${now}) as scopes
    from mahalla.oauth_grant g join mahalla.oauth_client c on c.tenant_id = g.tenant_id and c.id = g.client_id
    where g.tenant_id = ${tenantId} and g.principal_id = ${principalId} and g.revoked_at is null and g.expires_at > ${now}
    group by c.id, c.name, c.homepage order by c.name, c.id limit 200`
})
