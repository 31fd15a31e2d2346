/** What went wrong with an app's requests, for whoever develops it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { errors } from "oidc-provider"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { isId, newId } from "../../kernel/ids.ts"
import { takeFrom } from "../../kernel/limits/gcra.ts"
import { mask } from "../../kernel/mask.ts"
import { limits } from "./model.ts"

interface Noted {
  readonly clientId: string
  readonly endpoint: string
  readonly error: errors.OIDCProviderError
}

/** Writes an error down, as long as the app's are not too many. Neither codes nor tokens are in the library's texts. */
export const noteError = Effect.fn("oauth.noteError")(function* (
  tenantId: string,
  { clientId, endpoint, error }: Noted
) {
  if (!isId(clientId)) return
  yield* takeFrom(tenantId, {
    key: `oauth-error:${clientId}`,
    amount: limits.errors,
    window: 60,
    message: "Too many errors of this app."
  })
  const detail = [error.error_description, error.error_detail].filter((text) => text !== undefined).join("; ")
  const write = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    const at = new Date(yield* Clock.currentTimeMillis)
    yield* sql`
      insert into mahalla.oauth_error (tenant_id, id, client_id, at, endpoint, error, detail)
      select ${tenantId}, ${yield* newId}, c.id, ${at}, ${endpoint}, ${error.error}, ${mask(detail).slice(0, 500)}
      from mahalla.oauth_client c where c.tenant_id = ${tenantId} and c.id = ${clientId}`
  })
  yield* withTenant(tenantId)(write)
})

export interface AppError {
  readonly id: string
  readonly at: Date
  readonly endpoint: string
  readonly error: string
  readonly detail: string
}

/** Newest first. Index `oauth_error_client`. */
export const listErrors = Effect.fnUntraced(function* (
  clientId: string,
  page: { readonly cursor: string | null; readonly limit: number }
) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<AppError>`
    select id, at, endpoint, error, detail from mahalla.oauth_error
    where tenant_id = ${tenantId} and client_id = ${clientId} and (${page.cursor}::uuid is null or id < ${page.cursor}::uuid)
    order by id desc limit ${page.limit}`
})

/** Deletes what has had its time, in every tenant. Indexes `oauth_record_age`, `oauth_grant_age`, `oauth_error_age`. */
export const sweep = withPlatform(
  Effect.gen(function* () {
    const { sql } = yield* PlatformTx
    const now = yield* Clock.currentTimeMillis
    yield* sql`delete from mahalla.oauth_record where expires_at < ${new Date(now)}`
    yield* sql`delete from mahalla.oauth_grant where expires_at < ${new Date(now)}`
    yield* sql`delete from mahalla.oauth_error where at < ${new Date(now - limits.errorDays * 86_400_000)}`
  })
)
