/** What people let apps do, and the apps they have made, as parts of a person. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"
import { AppDeleted } from "./model.ts"
import { removeApp } from "./register.ts"

const consents: PersonPart = {
  id: "consents",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select g.client_id as "appId", c.name as app, g.scopes, g.created_at as "createdAt", g.expires_at as "expiresAt",
        g.revoked_at as "revokedAt", g.revoked_by as "revokedBy"
      from mahalla.oauth_grant g join mahalla.oauth_client c on c.tenant_id = g.tenant_id and c.id = g.client_id
      where g.tenant_id = ${tenantId} and g.principal_id = ${personId} order by g.created_at, g.id`
  }),
  // Codes and refresh tokens go with them; an access token asks for its grant at every request.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.oauth_grant where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

const apps: PersonPart = {
  id: "apps",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, name, homepage, redirect_uris as "redirectUris", scopes, status, created_at as "createdAt" from mahalla.oauth_client
      where tenant_id = ${tenantId} and owner_id = ${personId} order by id`
  }),
  // Nobody answers for an app whose maker is gone.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const owned = yield* sql<{ id: string }>`
      select id from mahalla.oauth_client where tenant_id = ${tenantId} and owner_id = ${personId}`
    for (const { id } of owned) {
      yield* removeApp(id)
      yield* appendEvent(AppDeleted, { appId: id })
    }
  })
}

export const oauthOfPerson: ReadonlyArray<PersonPart> = [consents, apps]
