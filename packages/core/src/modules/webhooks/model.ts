/** Webhooks: what an endpoint is, its events, its limits. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"

export interface Endpoint {
  readonly id: string
  /** Whose eyes decide what is sent: an app's, or those of somebody of the city. */
  readonly principalId: string
  readonly url: string
  readonly description: string
  /** Types of events; `alert.*` means all that begin with `alert.`. Null: every type. */
  readonly types: ReadonlyArray<string> | null
  readonly caseTypes: ReadonlyArray<string> | null
  /** With all below it. Null: everywhere. */
  readonly territoryId: string | null
  readonly ordered: boolean
  readonly ed25519: boolean
  readonly status: "active" | "paused" | "disabled"
  readonly disabledBecause: "gone" | "failing" | null
  readonly disabledAt: Date | null
  readonly version: number
  readonly createdAt: Date
}

const ofEndpoint = { endpointId: Schema.String, principalId: Schema.String }

export const WebhookCreated = defineEvent({
  id: "webhook.created",
  payload: Schema.Struct({ ...ofEndpoint, host: Schema.String })
})
export const WebhookChanged = defineEvent({
  id: "webhook.changed",
  payload: Schema.Struct({ ...ofEndpoint, host: Schema.String, status: Schema.String })
})
export const WebhookRemoved = defineEvent({ id: "webhook.removed", payload: Schema.Struct(ofEndpoint) })
export const WebhookSecretRotated = defineEvent({
  id: "webhook.secret-rotated",
  payload: Schema.Struct({ ...ofEndpoint, othersEndAt: Schema.String })
})
/** The notice to the app's owner: nothing is sent there until somebody resumes it. */
export const WebhookDisabled = defineEvent({
  id: "webhook.disabled",
  payload: Schema.Struct({
    ...ofEndpoint,
    /** Who registered the app; null where nobody did. */
    ownerId: Schema.NullOr(Schema.String),
    host: Schema.String,
    because: Schema.Literals(["gone", "failing"])
  })
})

export const webhookEvents = [WebhookCreated, WebhookChanged, WebhookRemoved, WebhookSecretRotated, WebhookDisabled]

export const testType = "webhook.test"

export const limits = {
  endpointsPerPrincipal: 20,
  /** Seconds until an attempt is given up. */
  answer: 15,
  /** Characters of an answer that are kept. */
  excerpt: 1_024,
  /** Bytes of a secret: 24 to 64. */
  secret: 32,
  /** Hours in which the secret before counts too, unless somebody says otherwise. */
  overlap: 24,
  mostOverlap: 168,
  /** Days that messages and attempts are kept. */
  days: 30
} as const

/** For logs and notices: an address may have a secret in its path. */
export const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : "")
