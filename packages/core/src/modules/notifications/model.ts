/** What is sent to whom and how: the words of the module, and what happens to them. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"
import { Id } from "../../kernel/ids.ts"

/** Kinds of channel; `outbox` is that of a city without a contract for SMS, and reached by phone too. */
export const channelKinds = ["sms", "email", "push", "telegram", "outbox"] as const
export type ChannelKind = (typeof channelKinds)[number]
export const ChannelKindName = Schema.Literals(channelKinds)

/** `urgent` comes at night too; `normal` waits for the morning; `digest` may wait for a digest of whoever wants one. */
export const urgencies = ["urgent", "normal", "digest"] as const
export type Urgency = (typeof urgencies)[number]

export const Key = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,59}$/)).annotate({
  description: "Lower case letters, digits and dashes"
})
/** What people switch on and off together, as `cases`, `alerts`, `city`. */
export const Category = Key.annotate({ identifier: "NotificationCategory" })
export const Language = Schema.String.check(
  Schema.isPattern(/^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?$/)
).annotate({
  description: "BCP 47"
})
const ChannelOrder = Schema.Array(ChannelKindName).check(Schema.isMinLength(1), Schema.isUnique())

/** What of a message is written in one language: ICU MessageFormat. */
export const TemplateText = Schema.Struct({
  /** For channels that have one. */
  subject: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))),
  text: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(2_000)),
  /** For channels that show it; values are escaped in it. */
  html: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(20_000)))
})
export type TemplateText = typeof TemplateText.Type
export const TemplateTexts = Schema.Record(Language, TemplateText)
export type TemplateTexts = Readonly<Record<string, TemplateText>>

/** Who hears of an event. `named`: whom the case type's own notice names, in its words. */
export const Audience = Schema.Union([
  Schema.Literals(["owner", "subscribers", "assignee", "named"]),
  /** Holders of a role in the case's territory. */
  Schema.Struct({ role: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(60)) })
])
export type Audience = typeof Audience.Type

export const RuleDefinition = Schema.Struct({
  /** `created`: cases of these types are made. `changed`: they come into another state. `notice`: their type calls people. Others: the type of an event. */
  on: Schema.String.check(Schema.isPattern(/^(created|changed|notice|[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*)$/)),
  /** Default: all that the city tells of. */
  caseTypes: Schema.optionalKey(Schema.Array(Schema.String).check(Schema.isMinLength(1), Schema.isMaxLength(50))),
  /** Into which the case has come. Default: all. */
  states: Schema.optionalKey(Schema.Array(Schema.String).check(Schema.isMinLength(1), Schema.isMaxLength(50))),
  /** Cases there and below. Default: everywhere. */
  territoryId: Schema.optionalKey(Id),
  to: Schema.Array(Audience).check(Schema.isMinLength(1), Schema.isMaxLength(10)),
  template: Key,
  urgency: Schema.Literals(urgencies),
  category: Category,
  /** In the order of choice, where the person has chosen none. Default: the city's. */
  channels: Schema.optionalKey(ChannelOrder),
  /** `first`: on the first channel that reaches the person. `all`: on each. `fallback`: on the next when one has not delivered in time. Default `first`. */
  mode: Schema.optionalKey(Schema.Literals(["first", "all", "fallback"])),
  /** Minutes that a channel has in `fallback`. Default 5. */
  wait: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_440 }))),
  /** Minutes after which it is no news any more. Default 4,320. */
  expires: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 43_200 }))),
  /** Default true. */
  enabled: Schema.optionalKey(Schema.Boolean)
})
export type RuleDefinition = typeof RuleDefinition.Type

export type MessageState =
  | "queued"
  | "waiting"
  | "accepted"
  | "refused"
  | "unknown"
  | "delivered"
  | "failed"
  | "expired"
  | "skipped"
  | "cancelled"
  | "suppressed"

/** A template was written anew, or given back to its built-in words. */
export const TemplateChanged = defineEvent({
  id: "notification-template.changed",
  payload: Schema.Struct({ key: Schema.String, channel: Schema.String, version: Schema.Int, removed: Schema.Boolean })
})

export const RuleChanged = defineEvent({
  id: "notification-rule.changed",
  payload: Schema.Struct({ key: Schema.String, version: Schema.Int, removed: Schema.Boolean })
})

/** What staff did to a broadcast. */
export const BroadcastChanged = defineEvent({
  id: "broadcast.changed",
  payload: Schema.Struct({
    broadcastId: Schema.String,
    what: Schema.Literals(["created", "asked", "started", "paused", "resumed", "cancelled"]),
    recipients: Schema.optionalKey(Schema.Int)
  })
})
