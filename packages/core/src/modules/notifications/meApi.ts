/** Doors to what people choose for themselves: when and where they are told, and what they were told. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { IdPageQuery, page, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"
import { Category, ChannelKindName, Language } from "./model.ts"

const Clock = Schema.String.check(Schema.isPattern(/^([01]\d|2[0-3]):[0-5]\d$/)).annotate({
  description: "`HH:MM` in the city's time zone"
})
const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const choices = {
  /** The city's hours of quiet, own ones, or none. */
  quiet: Schema.Literals(["tenant", "own", "none"]),
  digest: Schema.Literals(["immediately", "daily", "weekly"]),
  /** Of digests, in the city's time zone. */
  digestHour: between(0, 23),
  /** ISO weekday of weekly digests, 1 is Monday. */
  digestDay: between(1, 7),
  /** By category: kinds of channel in the order of choice; an empty list is none at all. Of a category that is not here the city decides. */
  categories: Schema.Record(
    Category,
    Schema.Struct({ channels: Schema.optionalKey(Schema.Array(ChannelKindName).check(Schema.isUnique())) })
  ).check(Schema.isMaxProperties(50))
}

const GivenPreferences = Schema.Struct({
  ...choices,
  /** Default: as it is. */
  language: Schema.optionalKey(Language),
  /** Of own hours; on the next day where the end is not after the beginning. */
  quietFrom: Schema.optionalKey(Schema.NullOr(Clock)),
  quietUntil: Schema.optionalKey(Schema.NullOr(Clock)),
  /** Where one lives: what is told there is for this person. */
  territoryId: Schema.optionalKey(Schema.NullOr(Id))
})

const PreferencesView = Schema.Struct({
  ...choices,
  language: Schema.String,
  quietFrom: Schema.NullOr(Clock),
  quietUntil: Schema.NullOr(Clock),
  territoryId: Schema.NullOr(Id),
  version: Schema.Int
}).annotate({ identifier: "NotificationPreferences" })

const base64url = (least: number, most: number) =>
  Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]+={0,2}$/), Schema.isMinLength(least), Schema.isMaxLength(most))

const GivenSubscription = Schema.Struct({
  /** Instance of the city's messenger. Default: the first that sends push. */
  channel: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(60))),
  /** Of a browser (RFC 8030), as `PushSubscription.toJSON()` gives it. */
  endpoint: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^https:\/\/[^\s"<>\\]{4,2000}$/))),
  keys: Schema.optionalKey(Schema.Struct({ p256dh: base64url(80, 100), auth: base64url(16, 40) })),
  /** Of an app: its registration token. */
  token: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[\w:.-]{20,4096}$/)))
})

const AddressView = Schema.Struct({
  id: Id,
  channel: Schema.NullOr(Schema.String),
  createdAt: Timestamp
}).annotate({ identifier: "PushSubscription" })

const EmailView = Schema.Struct({
  address: Schema.NullOr(Schema.String),
  verified: Schema.Boolean
}).annotate({ identifier: "NotificationEmail" })

const message = {
  id: Id,
  source: Schema.String,
  caseId: Schema.NullOr(Id),
  channel: Schema.String,
  category: Schema.String,
  urgency: Schema.String,
  language: Schema.String,
  subject: Schema.NullOr(Schema.String),
  text: Schema.String,
  state: Schema.String,
  createdAt: Timestamp,
  changedAt: Timestamp
}
const OwnMessage = Schema.Struct(message).annotate({ identifier: "OwnMessage" })

export const MessageView = Schema.Struct({
  ...message,
  principalId: Id,
  eventId: Id,
  detail: Schema.NullOr(Schema.String),
  attempts: Schema.Int,
  parts: Schema.NullOr(Schema.Int),
  /** Minor units. */
  cost: Schema.NullOr(Schema.String),
  currency: Schema.NullOr(Schema.String)
}).annotate({ identifier: "Message" })

const Email = Schema.String.check(
  Schema.isMaxLength(254),
  Schema.isPattern(
    /^[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$/
  )
)

export const myNotificationsGroup = HttpApiGroup.make("myNotifications")
  .add(
    HttpApiEndpoint.get("getNotificationPreferences", "/me/notification-preferences", { success: PreferencesView }),
    HttpApiEndpoint.put("putNotificationPreferences", "/me/notification-preferences", {
      payload: GivenPreferences,
      success: PreferencesView
    }),
    HttpApiEndpoint.get("listPushSubscriptions", "/me/push-subscriptions", {
      success: Schema.Struct({ items: Schema.Array(AddressView) })
    }),
    HttpApiEndpoint.post("addPushSubscription", "/me/push-subscriptions", {
      payload: GivenSubscription,
      success: AddressView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.delete("removePushSubscription", "/me/push-subscriptions/:id", {
      params: { id: Id },
      success: HttpApiSchema.NoContent
    }),
    HttpApiEndpoint.get("getNotificationEmail", "/me/notification-email", { success: EmailView }),
    HttpApiEndpoint.put("putNotificationEmail", "/me/notification-email", {
      payload: Schema.Struct({ address: Email }),
      success: EmailView
    }),
    HttpApiEndpoint.delete("removeNotificationEmail", "/me/notification-email", { success: HttpApiSchema.NoContent }),
    HttpApiEndpoint.get("listMyMessages", "/me/messages", { query: IdPageQuery, success: page(OwnMessage) })
  )
  .middleware(Door)

/** Nobody need sign in for these: whoever has the link was sent it. */
export const notificationLinksGroup = HttpApiGroup.make("notificationLinks")
  .add(
    HttpApiEndpoint.get("showNotificationLink", "/notification-links/:token", {
      params: { token: Schema.String.check(Schema.isMaxLength(300)) },
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/html" }))
    }),
    HttpApiEndpoint.post("useNotificationLink", "/notification-links/:token", {
      params: { token: Schema.String.check(Schema.isMaxLength(300)) },
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/html" }))
    })
  )
  .middleware(Door)
