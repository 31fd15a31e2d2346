/** Doors of staff: templates, rules, what was sent to whom, broadcasts. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { GivenDay, GivenMoment } from "../../kernel/http/moments.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { IdPageQuery, page, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"
import { MessageView } from "./meApi.ts"
import { Category, channelKinds, ChannelKindName, Key, Language, RuleDefinition, TemplateTexts } from "./model.ts"

const Channel = Schema.Literals(["any", ...channelKinds])
const TemplateParam = { key: Key, channel: Channel }
const Texts = TemplateTexts.check(Schema.isMinProperties(1), Schema.isMaxProperties(30))

const TemplateView = Schema.Struct({
  key: Key,
  channel: Channel,
  /** 0: built in, and nobody has changed it yet. */
  version: Schema.Int,
  builtIn: Schema.Boolean,
  /** What may stand in braces. */
  variables: Schema.Array(Schema.String),
  texts: TemplateTexts
}).annotate({ identifier: "NotificationTemplate" })

const Sample = {
  language: Language,
  /** Values in the place of the examples. */
  values: Schema.optionalKey(Schema.Record(Schema.String, Schema.String.check(Schema.isMaxLength(1_000)))),
  /** Texts that are not saved yet. Default: those in force. */
  texts: Schema.optionalKey(Texts)
}
const RenderedView = Schema.Struct({
  language: Schema.String,
  subject: Schema.NullOr(Schema.String),
  text: Schema.String,
  html: Schema.NullOr(Schema.String)
}).annotate({ identifier: "RenderedNotification" })

const RuleView = Schema.Struct({
  key: Key,
  version: Schema.Int,
  builtIn: Schema.Boolean,
  definition: RuleDefinition
}).annotate({ identifier: "NotificationRule" })

const AttemptView = Schema.Struct({
  attempt: Schema.Int,
  state: Schema.String,
  code: Schema.NullOr(Schema.String),
  detail: Schema.NullOr(Schema.String),
  beganAt: Timestamp,
  endedAt: Schema.NullOr(Timestamp)
})

const TotalView = Schema.Struct({
  day: Schema.String,
  channel: Schema.String,
  category: Schema.String,
  currency: Schema.String,
  handed: Schema.Finite,
  delivered: Schema.Finite,
  failed: Schema.Finite,
  parts: Schema.Finite,
  /** Minor units. */
  cost: Schema.String
}).annotate({ identifier: "MessageTotal" })

export const notificationsGroup = HttpApiGroup.make("notifications")
  .add(
    HttpApiEndpoint.get("listNotificationTemplates", "/notification-templates", {
      success: Schema.Struct({ items: Schema.Array(TemplateView) })
    }),
    HttpApiEndpoint.get("getNotificationTemplate", "/notification-templates/:key/:channel", {
      params: TemplateParam,
      success: TemplateView
    }),
    HttpApiEndpoint.put("putNotificationTemplate", "/notification-templates/:key/:channel", {
      params: TemplateParam,
      payload: Schema.Struct({ texts: Texts }),
      success: TemplateView
    }),
    HttpApiEndpoint.delete("removeNotificationTemplate", "/notification-templates/:key/:channel", {
      params: TemplateParam,
      success: HttpApiSchema.NoContent
    }),
    HttpApiEndpoint.post("previewNotificationTemplate", "/notification-templates/:key/:channel/preview", {
      params: TemplateParam,
      payload: Schema.Struct(Sample),
      success: RenderedView
    }),
    HttpApiEndpoint.post("testNotificationTemplate", "/notification-templates/:key/:channel/test", {
      params: TemplateParam,
      payload: Schema.Struct(Sample),
      success: Schema.Struct({ messages: Schema.Int }).pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("listNotificationRules", "/notification-rules", {
      success: Schema.Struct({ items: Schema.Array(RuleView) })
    }),
    HttpApiEndpoint.get("getNotificationRule", "/notification-rules/:key", { params: { key: Key }, success: RuleView }),
    HttpApiEndpoint.put("putNotificationRule", "/notification-rules/:key", {
      params: { key: Key },
      payload: RuleDefinition,
      success: RuleView
    }),
    HttpApiEndpoint.delete("removeNotificationRule", "/notification-rules/:key", {
      params: { key: Key },
      success: HttpApiSchema.NoContent
    }),
    HttpApiEndpoint.get("listMessages", "/messages", {
      query: {
        ...IdPageQuery,
        principal: Schema.optionalKey(Id),
        state: Schema.optionalKey(Schema.String),
        channel: Schema.optionalKey(Schema.String),
        category: Schema.optionalKey(Schema.String),
        broadcast: Schema.optionalKey(Id),
        case: Schema.optionalKey(Id)
      },
      success: page(MessageView)
    }),
    HttpApiEndpoint.get("getMessage", "/messages/:id", {
      params: { id: Id },
      success: Schema.Struct({ ...MessageView.fields, tries: Schema.Array(AttemptView) })
    }),
    HttpApiEndpoint.get("messageTotals", "/message-totals", {
      query: { from: GivenDay, to: GivenDay },
      success: Schema.Struct({ items: Schema.Array(TotalView) })
    })
  )
  .middleware(Door)

const BroadcastView = Schema.Struct({
  id: Id,
  state: Schema.Literals(["draft", "approval", "running", "paused", "done", "cancelled"]),
  territoryId: Schema.NullOr(Id),
  filters: Schema.Record(Schema.String, Schema.Unknown),
  category: Schema.String,
  urgency: Schema.String,
  texts: Schema.NullOr(TemplateTexts),
  template: Schema.NullOr(Schema.String),
  channels: Schema.NullOr(Schema.Array(Schema.String)),
  expiresAt: Schema.NullOr(Timestamp),
  /** Everybody has been looked up. */
  resolved: Schema.Boolean,
  /** People looked up so far, messages written, people whom nothing reaches. */
  seen: Schema.Finite,
  queued: Schema.Finite,
  unreachable: Schema.Finite,
  recipients: Schema.NullOr(Schema.Finite),
  createdBy: Id,
  startedBy: Schema.NullOr(Id),
  approvedBy: Schema.NullOr(Id),
  version: Schema.Int,
  createdAt: Timestamp,
  startedAt: Schema.NullOr(Timestamp),
  endedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "Broadcast" })

const GivenBroadcast = Schema.Struct({
  /** This one and all below it. Default: everybody. */
  territoryId: Schema.optionalKey(Schema.NullOr(Id)),
  filters: Schema.optionalKey(
    Schema.Struct({
      languages: Schema.optionalKey(Schema.Array(Language).check(Schema.isMinLength(1), Schema.isMaxLength(30))),
      /** Only holders of it. */
      role: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(60))),
      /** Only whoever has chosen channels for the category. */
      optedIn: Schema.optionalKey(Schema.Boolean)
    })
  ),
  category: Category,
  /** `urgent` comes at night too. */
  urgency: Schema.Literals(["urgent", "normal"]),
  /** Either these or a template. */
  texts: Schema.optionalKey(Texts),
  template: Schema.optionalKey(Key),
  channels: Schema.optionalKey(Schema.Array(ChannelKindName).check(Schema.isMinLength(1), Schema.isUnique())),
  expiresAt: Schema.optionalKey(GivenMoment)
})

const EstimateView = Schema.Struct({
  people: Schema.Int,
  recipients: Schema.Int,
  parts: Schema.Int,
  /** Minor units, by what this channel has cost lately; null where nothing is known. */
  cost: Schema.NullOr(Schema.String),
  channels: Schema.Array(Schema.Struct({ channel: Schema.String, recipients: Schema.Int, parts: Schema.Int }))
}).annotate({ identifier: "BroadcastEstimate" })

const ResultView = Schema.Struct({
  channel: Schema.String,
  state: Schema.String,
  amount: Schema.Finite,
  parts: Schema.Finite,
  cost: Schema.String
}).annotate({ identifier: "BroadcastResult" })

const ById = { params: { id: Id }, success: BroadcastView }

export const broadcastsGroup = HttpApiGroup.make("broadcasts")
  .add(
    HttpApiEndpoint.get("listBroadcasts", "/broadcasts", { query: IdPageQuery, success: page(BroadcastView) }),
    HttpApiEndpoint.post("createBroadcast", "/broadcasts", {
      payload: GivenBroadcast,
      success: BroadcastView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getBroadcast", "/broadcasts/:id", ById),
    HttpApiEndpoint.get("estimateBroadcast", "/broadcasts/:id/estimate", { params: { id: Id }, success: EstimateView }),
    HttpApiEndpoint.get("broadcastResults", "/broadcasts/:id/results", {
      params: { id: Id },
      success: Schema.Struct({ items: Schema.Array(ResultView) })
    }),
    HttpApiEndpoint.post("startBroadcast", "/broadcasts/:id/start", {
      ...ById,
      /** The estimate that was looked at. */
      payload: Schema.Struct({ recipients: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)) })
    }),
    HttpApiEndpoint.post("approveBroadcast", "/broadcasts/:id/approve", ById),
    HttpApiEndpoint.post("pauseBroadcast", "/broadcasts/:id/pause", ById),
    HttpApiEndpoint.post("resumeBroadcast", "/broadcasts/:id/resume", ById),
    HttpApiEndpoint.post("cancelBroadcast", "/broadcasts/:id/cancel", ById)
  )
  .middleware(Door)
