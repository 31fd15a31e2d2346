/** What stands behind the doors to one's own choices, and behind the links that need no sign-in. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { versionAsked } from "../../kernel/http/asked.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import {
  addressColumn,
  addressesOf,
  keepAddress,
  proveEmail,
  pushChannel,
  removeAddress,
  setEmail
} from "./addresses.ts"
import { NotificationsApi } from "./api.ts"
import { cityFacts } from "./city.ts"
import { meaningOf } from "./links.ts"
import { listMessages, type ListedMessage } from "./messages.ts"
import { linkPage, pageHeaders } from "./pages.ts"
import { preferencesOf, putPreferences, switchOff } from "./preferences.ts"

/** The id of whoever asks; nobody's choices are an app's or a visitor's. */
const me = Effect.gen(function* () {
  const { id, kind } = yield* Actor
  if (id === null || (kind !== "person" && kind !== "staff"))
    return yield* new Unauthorized({ message: "Sign in: this is about you." })
  return id
})

export const asked = Effect.flatMap(HttpServerRequest.HttpServerRequest, versionAsked)

export const answerOf = (
  body: { readonly version: number },
  status = 200,
  headers: Readonly<Record<string, string>> = {}
) => HttpServerResponse.jsonUnsafe(body, { status, headers: { ...headers, etag: `"${body.version}"` } }) as never

const ownView = ({
  caseId,
  category,
  changedAt,
  channel,
  createdAt,
  id,
  language,
  source,
  state,
  subject,
  text,
  urgency
}: ListedMessage) => ({
  ...{ id, source, caseId, channel, category, urgency, language, subject, text, state },
  createdAt: createdAt.toISOString(),
  changedAt: changedAt.toISOString()
})

const emailView = Effect.fnUntraced(function* (personId: string) {
  const [row] = yield* addressesOf(personId, "email")
  if (row === undefined) return { address: null, verified: false }
  return { address: yield* addressColumn.open(row.id, row.address_sealed), verified: row.verifiedAt !== null }
})

interface Subscription {
  readonly endpoint?: string
  readonly keys?: { readonly p256dh: string; readonly auth: string }
  readonly token?: string
}

/** The address as messengers of push take it: a token, or a browser's subscription as JSON. */
const pushAddress = ({ endpoint, keys, token }: Subscription) => {
  if (token !== undefined && endpoint === undefined && keys === undefined) return Effect.succeed(token)
  if (token === undefined && endpoint !== undefined && keys !== undefined)
    return Effect.succeed(JSON.stringify({ endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth } }))
  return Effect.fail(
    new InvalidInput({
      issues: [{ pointer: "", detail: "Give endpoint and keys of a browser, or the token of an app." }]
    })
  )
}

export const myNotificationsHandlers = HttpApiBuilder.group(NotificationsApi, "myNotifications", (handlers) =>
  handlers
    .handle("getNotificationPreferences", () =>
      inTenant(Effect.map(Effect.flatMap(me, preferencesOf), (choices) => answerOf(choices)))
    )
    .handle("putNotificationPreferences", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          return answerOf(yield* putPreferences(yield* me, payload, yield* asked))
        })
      )
    )
    .handle("listPushSubscriptions", () =>
      inTenant(
        Effect.gen(function* () {
          const rows = yield* addressesOf(yield* me, "push")
          return {
            items: rows.map(({ channel, createdAt, id }) => ({ id, channel, createdAt: createdAt.toISOString() }))
          }
        })
      )
    )
    .handle("addPushSubscription", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          const personId = yield* me
          const add = Effect.gen(function* () {
            const address = yield* pushAddress(payload)
            const channel = yield* pushChannel(payload.channel)
            const id = yield* keepAddress({ personId, kind: "push", channel, address, verified: true })
            const row = (yield* addressesOf(personId, "push")).find((one) => one.id === id)!
            return { status: 201, body: { id, channel: row.channel, createdAt: row.createdAt.toISOString() } }
          })
          return (yield* once("me/push-subscriptions", payload, add)).body
        })
      )
    )
    .handle("removePushSubscription", ({ params }) =>
      inTenant(Effect.flatMap(me, (personId) => removeAddress(personId, "push", params.id)))
    )
    .handle("getNotificationEmail", () => inTenant(Effect.flatMap(me, emailView)))
    .handle("putNotificationEmail", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          const personId = yield* me
          const cut = payload.address.lastIndexOf("@")
          yield* setEmail(personId, payload.address.slice(0, cut) + payload.address.slice(cut).toLowerCase())
          return yield* emailView(personId)
        })
      )
    )
    .handle("removeNotificationEmail", () =>
      inTenant(
        Effect.gen(function* () {
          const personId = yield* me
          for (const { id } of yield* addressesOf(personId, "email")) yield* removeAddress(personId, "email", id)
        })
      )
    )
    .handle("listMyMessages", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          const limit = query.limit ?? 50
          const rows = yield* listMessages({ principal: yield* me }, query.cursor ?? null, limit + 1)
          const items = rows.slice(0, limit).map(ownView)
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
)

/** What a link means in the tenant of the request, and the language of whom it is about. */
const opened = Effect.fnUntraced(function* (token: string) {
  const { sql, tenantId } = yield* TenantTx
  const meaning = yield* meaningOf(tenantId, token)
  if (meaning === undefined) return yield* new NotFound({ what: "link", id: "" })
  const [row] =
    meaning.kind === "unsubscribe"
      ? yield* sql<{ language: string }>`
          select language from mahalla.principal where tenant_id = ${tenantId} and id = ${meaning.personId}`
      : yield* sql<{ language: string }>`
          select p.language from mahalla.notification_address a
          join mahalla.principal p on p.tenant_id = a.tenant_id and p.id = a.principal_id
          where a.tenant_id = ${tenantId} and a.id = ${meaning.addressId}`
  if (row === undefined) return yield* new NotFound({ what: "link", id: "" })
  return { meaning, language: row.language }
})

const html = (text: string) =>
  HttpServerResponse.text(text, { contentType: "text/html; charset=utf-8", headers: pageHeaders }) as never

export const notificationLinksHandlers = HttpApiBuilder.group(NotificationsApi, "notificationLinks", (handlers) =>
  handlers
    .handle("showNotificationLink", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const { tenant } = yield* RequestInfo
          const { language, meaning } = yield* opened(params.token)
          return html(linkPage(meaning, tenant.name, language, false))
        })
      )
    )
    .handle("useNotificationLink", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const { name } = yield* cityFacts
          const { language, meaning } = yield* opened(params.token)
          const found =
            meaning.kind === "unsubscribe"
              ? yield* switchOff(meaning.personId, meaning.category)
              : yield* proveEmail(meaning.addressId)
          if (!found) return yield* new NotFound({ what: "link", id: "" })
          return html(linkPage(meaning, name, language, true))
        })
      )
    )
)
