/** What stands behind the doors for signing in and for one's own profile. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { answering, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { problem, registerProblems } from "../../kernel/http/problems.ts"
import { nameOf, type NameRow, phoneOf, type PhoneRow, sealName } from "../../kernel/personal/people.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { IdentityApi } from "./api.ts"
import { enterByCode, sendCodeTo } from "./byPhone.ts"
import { verifiedOf, verifiedView } from "./checks.ts"
import { useLink } from "./links.ts"
import { codeLimits } from "./model.ts"
import { endOtherSessions, endSession, listSessions, refreshSession } from "./sessions.ts"
import { beginSession, writeRefusal } from "./signIn.ts"
import { limitByAddress, sessionAnswer, signedIn, visitOf } from "./visit.ts"

registerProblems({ SignInRefused: (error) => problem(401, "sign-in-refused", error.message) })

const me = Effect.gen(function* () {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const { tenant } = yield* RequestInfo
  const rows =
    actor.id === null
      ? []
      : yield* sql<NameRow & PhoneRow & { readonly language: string }>`
          select id, name, name_sealed, phone, phone_sealed, language from mahalla.principal where tenant_id = ${tenantId} and id = ${actor.id}`
  const row = rows[0]
  const phone = row === undefined ? null : yield* phoneOf(row)
  const verified = actor.id === null ? undefined : yield* verifiedOf(actor.id)
  return {
    id: actor.id,
    kind: actor.kind,
    name: row === undefined ? null : yield* nameOf(row),
    language: row?.language ?? tenant.settings.languages[0] ?? "en",
    phone: phone === null ? null : `…${phone.slice(-2)}`,
    verified: verified === undefined ? null : verifiedView(verified),
    roles: actor.grants.map(({ role, territoryId }) => ({ role, territoryId }))
  }
})

export const signInHandlers = HttpApiBuilder.group(IdentityApi, "identity", (group) =>
  group
    .handle("sendCode", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { ip, tenant } = yield* RequestInfo
          yield* sendCodeTo({ tenant, ip, language: undefined, ...payload })
          return { expiresIn: codeLimits.life }
        })
      )
    )
    .handle("signIn", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { ip, tenant } = yield* RequestInfo
          const visit = yield* visitOf(payload.device)
          const tokens = yield* enterByCode({ tenant, ip, language: undefined, ...payload }, (id) =>
            beginSession(id, "code", visit)
          )
          return { ...(yield* sessionAnswer(tokens)), device: tokens.device }
        })
      )
    )
    .handle("useLink", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenant } = yield* RequestInfo
          yield* limitByAddress("link", 30)
          const visit = yield* visitOf(payload.device)
          const tokens = yield* withTenant(tenant.tenantId)(
            Effect.flatMap(useLink(payload.token), (id) => beginSession(id, "link", visit))
          ).pipe(Effect.tapErrorTag("SignInRefused", () => writeRefusal(tenant.tenantId, "link")))
          return { ...(yield* sessionAnswer(tokens)), device: tokens.device }
        })
      )
    )
    .handle("refresh", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenant } = yield* RequestInfo
          return yield* sessionAnswer(yield* refreshSession(tenant.tenantId, payload.refreshToken))
        })
      )
    )
    .handle("signOut", () =>
      inTenant(
        Effect.flatMap(signedIn, ({ principalId, sessionId }) => endSession(principalId, sessionId, "signed-out"))
      )
    )
    .handle("me", () => inTenant(me))
    .handle("changeMe", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          const actor = yield* Actor
          if (actor.id === null || actor.within !== undefined)
            return yield* new Unauthorized({ message: "Sign in to change your profile." })
          const { sql, tenantId } = yield* TenantTx
          const named = payload.name !== undefined
          const sealed = yield* sealName(actor.id, payload.name ?? null)
          yield* sql`
            update mahalla.principal
            set name = case when ${named} then null else name end,
                name_sealed = case when ${named} then ${sealed} else name_sealed end,
                language = coalesce(${payload.language ?? null}, language)
            where tenant_id = ${tenantId} and id = ${actor.id}`
          return yield* me
        })
      )
    )
)

export const sessionsHandlers = HttpApiBuilder.group(IdentityApi, "sessions", (group) =>
  group
    .handle("listSessions", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          const { principalId, sessionId } = yield* signedIn
          const limit = query.limit ?? 50
          const rows = yield* listSessions(principalId, query.cursor, limit + 1)
          const items = rows.slice(0, limit).map((row) => ({
            ...row,
            current: row.id === sessionId,
            createdAt: row.createdAt.toISOString(),
            lastUsedAt: row.lastUsedAt.toISOString(),
            expiresAt: row.expiresAt.toISOString()
          }))
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("endSession", ({ params }) =>
      inTenant(Effect.flatMap(signedIn, ({ principalId }) => endSession(principalId, params.id, "revoked")))
    )
    .handle("endOtherSessions", () =>
      inTenant(
        Effect.flatMap(signedIn, ({ principalId, sessionId }) =>
          Effect.map(endOtherSessions(principalId, sessionId), (ended) => ({ ended }))
        )
      )
    )
)
