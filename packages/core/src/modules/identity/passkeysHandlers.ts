/** What stands behind the doors for passkeys. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { withTenant } from "../../kernel/db/Database.ts"
import { answering, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { Issuer } from "../../kernel/keys/Keys.ts"
import { IdentityApi } from "./api.ts"
import { deviceName } from "./devices.ts"
import {
  addPasskey,
  beginPasskey,
  beginPasskeySignIn,
  listPasskeys,
  type RelyingParty,
  removePasskey,
  signInByPasskey
} from "./passkeys.ts"
import { writeRefusal } from "./signIn.ts"
import { labelOf, limitByAddress, sessionAnswer, signedIn, visitOf } from "./visit.ts"

/**
 * The city's own host, else the deployment's, else this machine while one develops. Pages of other origins that the city allows may ask
 * where their host is below it.
 */
const relyingParty = Effect.gen(function* () {
  const { tenant } = yield* RequestInfo
  const issuer = yield* Issuer
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  const site = URL.canParse(issuer) ? new URL(issuer) : undefined
  const local = /^localhost(:\d{1,5})?$/.test(headers["host"] ?? "") ? [`http://${headers["host"]}`] : []
  const party: RelyingParty = {
    id: tenant.hosts[0] ?? site?.hostname ?? "localhost",
    name: tenant.name,
    origins: [
      ...tenant.hosts.map((host) => `https://${host}`),
      ...(site === undefined ? [] : [site.origin]),
      ...tenant.settings.corsOrigins.filter((origin) => origin !== "*"),
      ...local
    ]
  }
  return party
})

/** Without members that say nothing: a null is not the same to a browser. */
const asJson = (options: object) => JSON.parse(JSON.stringify(options)) as Record<string, unknown>

const view = (row: {
  readonly id: string
  readonly name: string
  readonly createdAt: Date
  readonly lastUsedAt: Date | null
}) => ({ ...row, createdAt: row.createdAt.toISOString(), lastUsedAt: row.lastUsedAt?.toISOString() ?? null })

export const passkeysHandlers = HttpApiBuilder.group(IdentityApi, "passkeys", (group) =>
  group
    .handle("passkeySignInOptions", () =>
      answering(
        Effect.gen(function* () {
          const { tenant } = yield* RequestInfo
          yield* limitByAddress("passkey", 60)
          const { challengeId, options } = yield* withTenant(tenant.tenantId)(beginPasskeySignIn(yield* relyingParty))
          return { challengeId, options: asJson(options) }
        })
      )
    )
    .handle("passkeySignIn", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenant } = yield* RequestInfo
          const { tenantId } = tenant
          yield* limitByAddress("passkey", 60)
          const tokens = yield* signInByPasskey(
            tenantId,
            yield* relyingParty,
            payload,
            yield* visitOf(payload.device)
          ).pipe(Effect.tapErrorTag("SignInRefused", () => writeRefusal(tenantId, "passkey")))
          return { ...(yield* sessionAnswer(tokens)), device: tokens.device }
        })
      )
    )
    .handle("listPasskeys", () =>
      inTenant(
        Effect.flatMap(signedIn, ({ principalId }) =>
          Effect.map(listPasskeys(principalId), (rows) => ({ items: rows.map(view) }))
        )
      )
    )
    .handle("passkeyOptions", () =>
      inTenant(
        Effect.gen(function* () {
          const self = yield* signedIn
          const label = yield* labelOf(self.principalId)
          const { challengeId, options } = yield* beginPasskey(self, yield* relyingParty, label)
          return { challengeId, options: asJson(options) }
        })
      )
    )
    .handle("addPasskey", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenantId, ...self } = yield* signedIn
          const { headers } = yield* HttpServerRequest.HttpServerRequest
          const name = payload.name ?? deviceName(headers["user-agent"]) ?? "Passkey"
          return view(yield* addPasskey(tenantId, self, yield* relyingParty, { ...payload, name }))
        })
      )
    )
    .handle("removePasskey", ({ params }) =>
      inTenant(Effect.flatMap(signedIn, (self) => removePasskey(self, params.id)))
    )
)
