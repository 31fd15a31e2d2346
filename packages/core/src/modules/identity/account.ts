/** What stands behind the doors of one's own account. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { BlobStore } from "../../ports/BlobStore.ts"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { answering, RequestInfo } from "../../kernel/http/Door.ts"
import { Issuer, Keys } from "../../kernel/keys/Keys.ts"
import { takeFrom } from "../../kernel/limits/gcra.ts"
import { phoneOf, type PhoneRow } from "../../kernel/personal/people.ts"
import {
  latestRequest,
  loadRequest,
  type PersonRequest,
  putRequest,
  requestErasure
} from "../../kernel/personal/requests.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { codeUsed, signInFailed } from "../security/index.ts"
import { AccountApi } from "./accountApi.ts"
import { tryCode } from "./codes.ts"
import { demandProof } from "./factors.ts"
import { codeRefused } from "./model.ts"

export const erasureType = "mahalla-erasure+jwt"

/** Whoever asks in person about their own account. */
export const me = Effect.gen(function* () {
  const actor = yield* Actor
  // Neither an app that somebody lets act for them nor a key: a copy shows more than they were let see.
  if (actor.id === null || actor.kind === "system" || actor.within !== undefined)
    return yield* new Unauthorized({ message: "Sign in; this is about your own account." })
  return { id: actor.id, tenantId: actor.tenantId }
})

const iso = (at: Date | null) => at?.toISOString() ?? null

const exportView = ({ expiresAt, finishedAt, id, requestedAt, size, state }: PersonRequest) => ({
  id,
  state,
  size,
  requestedAt: requestedAt.toISOString(),
  finishedAt: iso(finishedAt),
  expiresAt: iso(expiresAt)
})

const erasureView = ({ finishedAt, id, requestedAt, state, waitsFor }: PersonRequest) => ({
  id,
  state,
  waitsFor: waitsFor?.split(" ") ?? [],
  requestedAt: requestedAt.toISOString(),
  finishedAt: iso(finishedAt)
})

const latestExport = Effect.gen(function* () {
  const { id, tenantId } = yield* me
  const found = yield* withTenant(tenantId)(latestRequest(id, "export"))
  return found ?? (yield* new NotFound({ what: "copy of your data", id }))
})

/** Somebody who has only got hold of a token must not end an account: the phone says so too, or a sign-in of a moment ago elsewhere. */
const confirmed = Effect.fnUntraced(function* (tenantId: string, id: string, code: string | undefined) {
  const account = yield* withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const [row] = yield* sql<PhoneRow & { readonly external_id: string | null; readonly linked: boolean }>`
        select id, phone, phone_sealed, external_id,
               exists (select from mahalla.openid_link where tenant_id = ${tenantId} and principal_id = ${id}) as linked
        from mahalla.principal where tenant_id = ${tenantId} and id = ${id}`
      if (row === undefined) return undefined
      return { phone: yield* phoneOf(row), externalId: row.external_id, linked: row.linked }
    })
  )
  if (account?.phone != null) {
    const { ip, tenant } = yield* RequestInfo
    const { phone } = account
    if (code === undefined || !/^\d{6}$/.test(code)) return yield* codeRefused
    if (yield* tryCode(tenantId, phone, code, undefined, "delete-account")) return yield* codeUsed({ tenant, phone })
    yield* signInFailed({ tenant, ip, phone })
    return yield* codeRefused
  }
  // Somebody of the host application has been vouched for with this very request.
  if (account?.externalId != null) return
  if (account?.linked === true) {
    const { sessionId } = yield* Actor
    if (sessionId === undefined) return yield* new Unauthorized({ message: "Sign in; this is about your own account." })
    return yield* withTenant(tenantId)(demandProof({ principalId: id, sessionId }))
  }
  return yield* new Refused({
    code: "no-phone",
    message: "This account has no phone to confirm by. Ask an administrator."
  })
})

const handlers = HttpApiBuilder.group(AccountApi, "account", (group) =>
  group
    .handle("requestExport", () =>
      answering(
        Effect.gen(function* () {
          const { id, tenantId } = yield* me
          yield* takeFrom(tenantId, {
            key: `export:${id}`,
            amount: 3,
            window: 86_400,
            message: "A copy was made a short while ago. Ask again tomorrow."
          })
          return exportView(yield* withTenant(tenantId)(putRequest(id, "export")))
        })
      )
    )
    .handle("exportState", () => answering(Effect.map(latestExport, exportView)))
    .handle("exportContent", () =>
      answering(
        Effect.gen(function* () {
          const { blobKey, id, size } = yield* latestExport
          if (blobKey === null) return yield* new NotFound({ what: "copy of your data", id })
          const blobs = yield* BlobStore
          return HttpServerResponse.stream(blobs.get(blobKey), {
            contentType: "application/zip",
            headers: {
              "content-length": String(size),
              "content-disposition": 'attachment; filename="my-data.zip"',
              "content-security-policy": "sandbox; default-src 'none'"
            }
          }) as never
        })
      )
    )
    .handle("deleteMe", ({ request }) =>
      answering(
        Effect.gen(function* () {
          const { id, tenantId } = yield* me
          yield* takeFrom(tenantId, {
            key: `erase:${id}`,
            amount: 10,
            window: 3_600,
            message: "Too many tries. Wait a few minutes."
          })
          yield* confirmed(tenantId, id, request.headers["confirmation-code"])
          const made = yield* withTenant(tenantId)(requestErasure(id))
          const view = erasureView(made)
          const claims = { iss: yield* Issuer, tenant: tenantId, erasure: made.id, requestedAt: view.requestedAt }
          return { ...view, receipt: yield* (yield* Keys).sign("receipt", claims, { typ: erasureType }) }
        })
      )
    )
    .handle("erasureState", ({ params }) =>
      answering(
        Effect.gen(function* () {
          const found = yield* withTenant((yield* Actor).tenantId)(loadRequest(params.id))
          if (found?.kind !== "erasure") return yield* new NotFound({ what: "erasure", id: params.id })
          return erasureView(found)
        })
      )
    )
)

export const accountApiLayer = HttpApiBuilder.layer(AccountApi).pipe(Layer.provide(handlers))
