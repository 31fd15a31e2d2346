/** Apps of third parties: events, errors, limits. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"

export const AppRegistered = defineEvent({
  id: "app.registered",
  payload: Schema.Struct({
    appId: Schema.String,
    ownerId: Schema.String,
    name: Schema.String,
    approved: Schema.Boolean
  })
})
export const AppDecided = defineEvent({
  id: "app.decided",
  payload: Schema.Struct({ appId: Schema.String, status: Schema.Literals(["active", "blocked"]) })
})
export const AppSecretRotated = defineEvent({
  id: "app.secret-rotated",
  payload: Schema.Struct({ appId: Schema.String, secretId: Schema.String })
})
export const AppDeleted = defineEvent({ id: "app.deleted", payload: Schema.Struct({ appId: Schema.String }) })

export const ConsentGiven = defineEvent({
  id: "app.consent-given",
  payload: Schema.Struct({ appId: Schema.String, principalId: Schema.String, scopes: Schema.Array(Schema.String) })
})
export const ConsentRevoked = defineEvent({
  id: "app.consent-revoked",
  payload: Schema.Struct({
    appId: Schema.String,
    principalId: Schema.String,
    by: Schema.Literals(["citizen", "app", "reuse"])
  })
})

/** Seconds. */
export const lives = {
  accessToken: 900,
  code: 60,
  idToken: 900,
  interaction: 900,
  /** From the consent on, however often it is renewed. */
  refreshToken: 90 * 86_400,
  session: 3_600,
  /** Both secrets of an app count for so long after one is replaced. */
  secretOverlap: 86_400
} as const

export const limits = {
  appsPerOwner: 10,
  redirectUris: 10,
  /** Requests of one address to the provider in a minute. */
  requests: 300,
  /** Errors of one app that are written down in a minute. */
  errors: 30,
  /** Days they are kept. */
  errorDays: 7
} as const

/** The `typ` of access tokens for our API that apps hold: nothing that the city itself issues has it. */
export const appTokenType = "app-at+jwt"
