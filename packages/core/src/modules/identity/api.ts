/** The doors for signing in and for one's own profile. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { answering, Door, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { problem, registerProblems } from "../../kernel/http/problems.ts"
import { AccessTokens } from "../../kernel/http/tokens.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { Id, newId } from "../../kernel/ids.ts"
import { senderOf } from "../../kernel/limits/address.ts"
import { takeFrom } from "../../kernel/limits/gcra.ts"
import { Messengers } from "../../kernel/ports.ts"
import { nameOf, type NameRow, phoneOf, type PhoneRow, sealName } from "../../kernel/personal/people.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { codeRefused, makeCode, personOfPhone, tryCode } from "./codes.ts"
import { useLink } from "./links.ts"
import { Phone } from "./model.ts"
import { codeText } from "./texts.ts"

registerProblems({ SignInRefused: (error) => problem(401, "sign-in-refused", error.message) })

const Session = Schema.Struct({
  accessToken: Schema.String,
  tokenType: Schema.Literal("Bearer"),
  /** Seconds. */
  expiresIn: Schema.Int,
  principalId: Id
}).annotate({ identifier: "Session" })

const Me = Schema.Struct({
  id: Schema.NullOr(Id),
  kind: Schema.String,
  name: Schema.NullOr(Schema.String),
  language: Schema.String,
  /** The last two digits only. */
  phone: Schema.NullOr(Schema.String),
  roles: Schema.Array(Schema.Struct({ role: Schema.String, territoryId: Schema.NullOr(Id) }))
}).annotate({ identifier: "Me" })

export const IdentityApi = cityApi("identity")
  .add(
    HttpApiGroup.make("identity")
      .add(
        HttpApiEndpoint.post("sendCode", "/auth/code", {
          payload: Schema.Struct({
            phone: Phone,
            language: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(35)))
          }),
          success: Schema.Struct({ expiresIn: Schema.Int }).pipe(HttpApiSchema.status(202))
        })
      )
      .add(
        HttpApiEndpoint.post("signIn", "/auth/session", {
          payload: Schema.Struct({
            phone: Phone,
            code: Schema.String.check(Schema.isPattern(/^\d{6}$/)),
            language: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(35)))
          }),
          success: Session
        })
      )
      .add(
        HttpApiEndpoint.post("useLink", "/auth/link", {
          payload: Schema.Struct({ token: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{43}$/)) }),
          success: Session
        })
      )
      .add(HttpApiEndpoint.get("me", "/me", { success: Me }))
      .add(
        HttpApiEndpoint.patch("changeMe", "/me", {
          payload: Schema.Struct({
            name: Schema.optionalKey(
              Schema.NullOr(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)))
            ),
            /** BCP 47. */
            language: Schema.optionalKey(
              Schema.String.check(Schema.isMaxLength(35), Schema.isPattern(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/))
            )
          }),
          success: Me
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

const session = Effect.fnUntraced(function* (tenantId: string, principalId: string) {
  const { expiresIn, token } = yield* (yield* AccessTokens).issue({ tenantId, principalId })
  return { accessToken: token, tokenType: "Bearer" as const, expiresIn, principalId }
})

/** A real channel when the city has one, else the outbox that operators read. */
const codeChannel = Effect.gen(function* () {
  const all = [...(yield* Messengers).values()]
  return all.find((messenger) => messenger.channel === "sms") ?? all.find((messenger) => messenger.channel === "outbox")
})

const language = (wanted: string | undefined, spoken: ReadonlyArray<string>) =>
  spoken.find((one) => one === wanted) ??
  spoken.find((one) => one.split("-")[0] === wanted?.split("-")[0]) ??
  spoken[0] ??
  "en"

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
  return {
    id: actor.id,
    kind: actor.kind,
    name: row === undefined ? null : yield* nameOf(row),
    language: row?.language ?? tenant.settings.languages[0] ?? "en",
    phone: phone === null ? null : `…${phone.slice(-2)}`,
    roles: actor.grants.map(({ role, territoryId }) => ({ role, territoryId }))
  }
})

const handlers = HttpApiBuilder.group(IdentityApi, "identity", (group) =>
  group
    .handle("sendCode", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { ip, tenant } = yield* RequestInfo
          const { tenantId } = tenant
          yield* takeFrom(tenantId, {
            key: `code:ip:${senderOf(ip)}`,
            amount: 20,
            window: 600,
            message: "Too many codes were asked for from here. Wait a few minutes."
          })
          const { code, expiresAt } = yield* withTenant(tenantId)(makeCode(payload.phone))
          const messenger = yield* codeChannel
          if (messenger === undefined)
            return yield* Effect.die(new Error("No messenger can carry codes. Add an SMS plugin or outboxMessenger()."))
          const spoken = language(payload.language, tenant.settings.languages)
          yield* messenger.send({
            id: yield* newId,
            tenantId,
            to: payload.phone,
            text: codeText(code, tenant.name, spoken),
            language: spoken,
            class: "code",
            expiresAt
          })
          return { expiresIn: 240 }
        })
      )
    )
    .handle("signIn", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { ip, tenant } = yield* RequestInfo
          const { tenantId } = tenant
          yield* takeFrom(tenantId, {
            key: `try:ip:${senderOf(ip)}`,
            amount: 60,
            window: 600,
            message: "Too many tries from here. Wait a few minutes."
          })
          if (!(yield* withTenant(tenantId)(tryCode(payload.phone, payload.code)))) return yield* codeRefused
          const id = yield* withTenant(tenantId)(
            personOfPhone(payload.phone, language(payload.language, tenant.settings.languages))
          )
          return yield* session(tenantId, id)
        })
      )
    )
    .handle("useLink", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { ip, tenant } = yield* RequestInfo
          yield* takeFrom(tenant.tenantId, {
            key: `link:ip:${senderOf(ip)}`,
            amount: 30,
            window: 600,
            message: "Too many tries from here. Wait a few minutes."
          })
          const id = yield* withTenant(tenant.tenantId)(useLink(payload.token))
          return yield* session(tenant.tenantId, id)
        })
      )
    )
    .handle("me", () => inTenant(me))
    .handle("changeMe", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          const actor = yield* Actor
          if (actor.id === null) return yield* new Unauthorized({ message: "Sign in to change your profile." })
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

export const identityApiLayer = HttpApiBuilder.layer(IdentityApi).pipe(Layer.provide(handlers))
