/**
 * Doors for signing in through an outside OpenID provider. A browser goes to `startOpenId` and comes back to the app with a ticket; the app
 * exchanges it, together with the verifier of its challenge, for a session or for a link to the account that is signed in.
 */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"
import { limitedRoute } from "../../kernel/limits/headers.ts"
import { secretPattern } from "./openIdAttempts.ts"
import { Admitted, providerFields, ProviderId } from "./openIdModel.ts"
import { Device, NewSession } from "./signInApi.ts"

const Moment = Schema.String.annotate({ format: "date-time" })

const ticket = {
  /** From the address that the browser came back to; good once, for a minute. */
  ticket: Schema.String.check(Schema.isPattern(secretPattern)),
  /** Whose SHA-256 was the `codeChallenge`. */
  codeVerifier: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._~-]{43,128}$/))
}

const Link = Schema.Struct({
  id: Id,
  provider: Schema.String,
  /** An administrator has said that it is this person's. */
  vouched: Schema.Boolean,
  createdAt: Moment,
  lastUsedAt: Schema.NullOr(Moment)
}).annotate({ identifier: "OpenIdLink" })

const invitation = {
  provider: ProviderId,
  /** `sub`: the provider's own id of the person. `email`: an address that it has verified. */
  claim: Schema.Literals(["sub", "email"]),
  value: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(255))
}
const Invitation = Schema.Struct({ id: Id, ...invitation, expiresAt: Moment }).annotate({
  identifier: "OpenIdInvitation"
})

const Provider = Schema.Struct({
  id: ProviderId,
  ...providerFields,
  /** Secrets are taken and never shown. */
  hasSecret: Schema.Boolean,
  /** What the provider must know as the redirect address of its client. */
  callbackUri: Schema.String
}).annotate({ identifier: "OpenIdProvider" })

export const OpenIdGroup = HttpApiGroup.make("openId")
  .add(
    HttpApiEndpoint.get("offeredProviders", "/auth/openid", {
      success: Schema.Struct({
        items: Schema.Array(
          Schema.Struct({
            id: ProviderId,
            /** By language. */
            title: Schema.Record(Schema.String, Schema.String),
            admits: Schema.Array(Admitted)
          }).annotate({ identifier: "OfferedOpenIdProvider" })
        )
      })
    })
  )
  .add(
    HttpApiEndpoint.get("startOpenId", "/auth/openid/:provider", {
      params: { provider: ProviderId },
      query: {
        /** Where the browser goes in the end, with `ticket` or `error`; one of the provider's `redirectUris`. Default: the city's sign-in page. */
        redirectUri: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(1_000))),
        /** SHA-256 of a random text that the app keeps, base64url (RFC 7636, S256). */
        codeChallenge: Schema.String.check(Schema.isPattern(secretPattern)),
        /** Comes back beside the ticket. */
        state: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(500))),
        /** `true`: the provider looks at the person anew. Whoever is to change how they sign in needs that. */
        fresh: Schema.optionalKey(Schema.Literals(["true", "false"])),
        /** BCP 47. */
        language: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/)))
      },
      success: HttpApiSchema.Empty(303)
    }).annotate(OpenApi.Transform, limitedRoute)
  )
  .add(
    // What a provider adds to its answer is its own affair, so the query has no schema.
    HttpApiEndpoint.get("openIdCallback", "/auth/openid/:provider/callback", {
      params: { provider: ProviderId },
      success: HttpApiSchema.Empty(303)
    }).annotate(OpenApi.Transform, limitedRoute)
  )
  .add(
    HttpApiEndpoint.post("openIdSignIn", "/auth/openid/session", {
      payload: Schema.Struct({ ...ticket, device: Schema.optionalKey(Device) }),
      success: NewSession
    }).annotate(OpenApi.Transform, limitedRoute)
  )
  .add(HttpApiEndpoint.get("listOpenIdLinks", "/me/openid", { success: Schema.Struct({ items: Schema.Array(Link) }) }))
  .add(
    HttpApiEndpoint.post("linkOpenId", "/me/openid", {
      payload: Schema.Struct(ticket),
      success: Link.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, limitedRoute)
  )
  .add(
    HttpApiEndpoint.delete("unlinkOpenId", "/me/openid/:id", { params: { id: Id }, success: HttpApiSchema.NoContent })
  )
  .middleware(Door)

export const OpenIdAdminGroup = HttpApiGroup.make("openIdAdmin")
  .add(
    HttpApiEndpoint.get("listOpenIdProviders", "/openid-providers", {
      success: Schema.Struct({ items: Schema.Array(Provider) })
    })
  )
  .add(
    HttpApiEndpoint.put("putOpenIdProvider", "/openid-providers/:provider", {
      params: { provider: ProviderId },
      payload: Schema.Struct({
        ...providerFields,
        /** Absent: as before. Null: none. */
        clientSecret: Schema.optionalKey(
          Schema.NullOr(Schema.String.check(Schema.isMinLength(8), Schema.isMaxLength(1_000)))
        )
      }),
      success: Provider
    })
  )
  .add(
    HttpApiEndpoint.delete("removeOpenIdProvider", "/openid-providers/:provider", {
      params: { provider: ProviderId },
      success: HttpApiSchema.NoContent
    })
  )
  .add(
    HttpApiEndpoint.get("openIdOfPrincipal", "/principals/:id/openid", {
      params: { id: Id },
      success: Schema.Struct({ links: Schema.Array(Link), invitations: Schema.Array(Invitation) })
    })
  )
  .add(
    HttpApiEndpoint.post("inviteOpenId", "/principals/:id/openid", {
      params: { id: Id },
      payload: Schema.Struct(invitation),
      success: Invitation.pipe(HttpApiSchema.status(201))
    })
  )
  .add(
    HttpApiEndpoint.delete("takeOpenIdAway", "/principals/:id/openid/:link", {
      params: { id: Id, link: Id },
      success: HttpApiSchema.NoContent
    })
  )
  .middleware(Door)
