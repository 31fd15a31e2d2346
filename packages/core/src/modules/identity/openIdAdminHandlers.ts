/** What stands behind the doors for a city's OpenID providers, and for the identities of its staff. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { inTenant } from "../../kernel/http/Door.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { IdentityApi } from "./api.ts"
import { linkViews, openIdPlace } from "./openIdHandlers.ts"
import { demandKnown, invite, listInvitations, takeAway } from "./openIdLinks.ts"
import { listProviders, putProvider, removeProvider } from "./openIdProviders.ts"

const invitationView = <Row extends { readonly expiresAt: Date }>(row: Row) => ({
  ...row,
  expiresAt: row.expiresAt.toISOString()
})

const callbackUriOf = Effect.map(openIdPlace, ({ callbackOf }) => callbackOf)

export const openIdAdminHandlers = HttpApiBuilder.group(IdentityApi, "openIdAdmin", (group) =>
  group
    .handle("listOpenIdProviders", () =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("openid-provider.read")
          const callbackOf = yield* callbackUriOf
          return { items: (yield* listProviders).map((row) => ({ ...row, callbackUri: callbackOf(row.id) })) }
        })
      )
    )
    .handle("putOpenIdProvider", ({ params, payload: { clientSecret, ...payload } }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("openid-provider.write")
          const callbackOf = yield* callbackUriOf
          const secret = clientSecret == null ? clientSecret : Redacted.make(clientSecret)
          const provider = yield* putProvider({ id: params.provider, ...payload }, secret)
          return { ...provider, callbackUri: callbackOf(provider.id) }
        })
      )
    )
    .handle("removeOpenIdProvider", ({ params }) =>
      inTenant(Effect.andThen(demandEverywhere("openid-provider.write"), removeProvider(params.provider)))
    )
    .handle("openIdOfPrincipal", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("openid-link.read")
          yield* demandKnown(params.id)
          const invitations = (yield* listInvitations(params.id)).map(invitationView)
          return { links: yield* linkViews(params.id), invitations }
        })
      )
    )
    .handle("inviteOpenId", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("openid-link.write")
          return invitationView(yield* invite(params.id, payload))
        })
      )
    )
    .handle("takeOpenIdAway", ({ params }) =>
      inTenant(Effect.andThen(demandEverywhere("openid-link.write"), takeAway(params.id, params.link)))
    )
)
