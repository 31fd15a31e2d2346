/** Doors for those to whom events are posted. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { GivenMoment } from "../../kernel/http/moments.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { IdPageQuery, page, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"
import { EventFilter } from "../../kernel/live/EventFilter.ts"
import { limits } from "./model.ts"

const CaseTypeIds = Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,59}$/))).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(50),
  Schema.isUnique()
)

const given = {
  /** HTTPS, port 443 or 8443, without a user; it must lead to a public address. */
  url: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(2_000)),
  description: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200), Schema.isPattern(/^\P{C}*$/u))),
  /** `alert.*` means all that begin with `alert.`. Default: every type. */
  types: Schema.optionalKey(Schema.NullOr(EventFilter.fields.types.schema)),
  /** Default: cases of every type, and what is about no case. */
  caseTypes: Schema.optionalKey(Schema.NullOr(CaseTypeIds)),
  /** A territory with all below it. Default: everywhere. */
  territoryId: Schema.optionalKey(Schema.NullOr(Id)),
  /** Strictly in order, one at a time: what fails holds up what comes after it. Default false. */
  ordered: Schema.optionalKey(Schema.Boolean),
  /** Ed25519 signatures (`v1a`) beside the others. Default false. */
  ed25519: Schema.optionalKey(Schema.Boolean)
}

const view = {
  id: Id,
  /** The app, or whoever of the city it belongs to: what they may see is what is sent. */
  principalId: Id,
  url: Schema.String,
  description: Schema.String,
  types: Schema.NullOr(Schema.Array(Schema.String)),
  caseTypes: Schema.NullOr(Schema.Array(Schema.String)),
  territoryId: Schema.NullOr(Id),
  ordered: Schema.Boolean,
  ed25519: Schema.Boolean,
  status: Schema.Literals(["active", "paused", "disabled"]),
  /** `gone`: it answered 410. `failing`: every attempt failed for five days. */
  disabledBecause: Schema.NullOr(Schema.Literals(["gone", "failing"])),
  disabledAt: Schema.NullOr(Timestamp),
  version: Schema.Int,
  createdAt: Timestamp
}
const WebhookView = Schema.Struct(view).annotate({ identifier: "Webhook" })

const secrets = {
  /** `whsec_…`. Shown here and never again. */
  secret: Schema.NullOr(Schema.String),
  /** `whpk_…`, where it signs with Ed25519 too. */
  publicKey: Schema.NullOr(Schema.String)
}
const NewWebhookView = Schema.Struct({ ...view, ...secrets }).annotate({ identifier: "NewWebhook" })

const MessageView = Schema.Struct({
  /** Of the event; `webhook-id` is `evt_` and this. */
  id: Id,
  type: Schema.String,
  /** `failed`: no attempt is left. */
  state: Schema.Literals(["waiting", "delivered", "failed"]),
  /** Since it was last asked for. */
  attempts: Schema.Int,
  nextAt: Schema.NullOr(Timestamp),
  createdAt: Timestamp,
  settledAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "WebhookMessage" })

const AttemptView = Schema.Struct({
  id: Id,
  messageId: Id,
  number: Schema.Int,
  at: Timestamp,
  /** Milliseconds. */
  took: Schema.Int,
  /** Of the answer; null where there was none. */
  status: Schema.NullOr(Schema.Int),
  delivered: Schema.Boolean,
  failure: Schema.NullOr(Schema.String),
  /** How the answer began; numbers of people and the like are masked. */
  excerpt: Schema.NullOr(Schema.String)
}).annotate({ identifier: "WebhookAttempt" })

const RecoveryView = Schema.Struct({
  id: Id,
  since: Timestamp,
  /** All have been asked for again; until then the counts grow. */
  complete: Schema.Boolean,
  delivered: Schema.Int,
  failed: Schema.Int,
  waiting: Schema.Int,
  createdAt: Timestamp
}).annotate({ identifier: "WebhookRecovery" })

const params = { id: Id }

const group = HttpApiGroup.make("webhooks")
  .add(
    HttpApiEndpoint.get("listWebhooks", "/webhooks", {
      query: { ...IdPageQuery, status: Schema.optionalKey(view.status), principal: Schema.optionalKey(Id) },
      success: page(WebhookView)
    }),
    HttpApiEndpoint.post("createWebhook", "/webhooks", {
      payload: Schema.Struct({
        ...given,
        /** An app of the city's; needs `webhook.manage`. Default: whoever asks. */
        principalId: Schema.optionalKey(Id)
      }),
      success: NewWebhookView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getWebhook", "/webhooks/:id", { params, success: WebhookView }),
    HttpApiEndpoint.put("replaceWebhook", "/webhooks/:id", {
      params,
      payload: Schema.Struct(given),
      success: Schema.Struct({
        ...view,
        /** New where it signs with Ed25519 from now on. */
        publicKey: secrets.publicKey
      }).annotate({ identifier: "ReplacedWebhook" })
    }),
    HttpApiEndpoint.delete("removeWebhook", "/webhooks/:id", { params, success: HttpApiSchema.NoContent }),
    HttpApiEndpoint.put("setWebhookStatus", "/webhooks/:id/status", {
      params,
      payload: Schema.Struct({ status: Schema.Literals(["active", "paused"]) }),
      success: WebhookView
    }),
    HttpApiEndpoint.post("rotateWebhookSecret", "/webhooks/:id/secrets", {
      params,
      payload: Schema.Struct({
        /** Hours in which the secrets before sign too. Default 24; 0: they are in somebody else's hands. */
        overlap: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: limits.mostOverlap })))
      }),
      success: Schema.Struct({ ...secrets, othersEndAt: Timestamp })
        .annotate({ identifier: "WebhookSecret" })
        .pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.post("testWebhook", "/webhooks/:id/tests", {
      params,
      success: MessageView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("webhookMessages", "/webhooks/:id/messages", {
      params,
      query: {
        ...IdPageQuery,
        state: Schema.optionalKey(MessageView.fields.state),
        type: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
      },
      success: page(MessageView)
    }),
    HttpApiEndpoint.post("resendWebhook", "/webhooks/:id/messages/:message/resend", {
      params: { id: Id, message: Id },
      success: MessageView.pipe(HttpApiSchema.status(202))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("webhookAttempts", "/webhooks/:id/attempts", {
      params,
      query: {
        ...IdPageQuery,
        message: Schema.optionalKey(Id),
        delivered: Schema.optionalKey(Schema.Literals(["true", "false"]))
      },
      success: page(AttemptView)
    }),
    HttpApiEndpoint.post("recoverWebhook", "/webhooks/:id/recoveries", {
      params,
      /** Everything that failed since then is sent again. */
      payload: Schema.Struct({ since: GivenMoment }),
      success: RecoveryView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("webhookRecovery", "/webhooks/:id/recoveries/:recovery", {
      params: { id: Id, recovery: Id },
      success: RecoveryView
    })
  )
  .middleware(Door)

export const WebhooksApi = cityApi("webhooks").add(group).prefix("/v1")
