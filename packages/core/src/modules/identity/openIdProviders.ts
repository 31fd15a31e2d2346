/** The outside OpenID providers of a city: data that its administrators put there. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type FieldIssue, InvalidInput, NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Deployment } from "../../kernel/Deployment.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { redirectProblem } from "../../kernel/http/redirects.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { OpenIdProviderChanged, OpenIdProviderRemoved } from "./events.ts"
import type { Provider } from "./openIdModel.ts"

export const clientSecretColumn = sealedColumn("openid_provider", "client_secret")

interface ProviderRow extends Provider {
  readonly clientSecret: string | null
}

const rowsOf = Effect.fnUntraced(function* (id: string | null) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<ProviderRow>`
    select id, title, issuer, client_id as "clientId", client_secret as "clientSecret", scopes, admits, requires,
           second_factor as "secondFactor", redirect_uris as "redirectUris", active
    from mahalla.openid_provider where tenant_id = ${tenantId} and (${id}::text is null or id = ${id}) order by id`
})

/** As staff sees it. */
const shown = ({ clientSecret, ...provider }: ProviderRow) => ({ ...provider, hasSecret: clientSecret !== null })

export const listProviders = Effect.map(rowsOf(null), (rows) => rows.map(shown))

/** One through which people sign in now, with its secret. */
export const providerInForce = Effect.fnUntraced(function* (id: string) {
  const row = (yield* rowsOf(id)).find(({ active }) => active)
  if (row === undefined) return yield* new NotFound({ what: "provider", id })
  const { clientSecret, ...provider } = row
  const secret = clientSecret === null ? null : Redacted.make(yield* clientSecretColumn.open(id, clientSecret))
  return { ...provider, secret }
})
export type ProviderInForce = Effect.Success<ReturnType<typeof providerInForce>>

/** What the browser shows. */
export const offeredProviders = Effect.map(rowsOf(null), (rows) =>
  rows.filter(({ active }) => active).map(({ admits, id, title }) => ({ id, title, admits }))
)

const issuerProblem = (text: string, plain: boolean): string | undefined => {
  if (!URL.canParse(text)) return "This is no address. Write it as the provider's discovery document names it."
  const { hash, password, protocol, search, username } = new URL(text)
  if (protocol !== "https:" && !(plain && protocol === "http:")) return "A provider is reached by https."
  if (`${hash}${password}${search}${username}` !== "") return "An issuer has neither a query, a fragment nor a user."
  return undefined
}

/** What cannot be said of a provider. */
const issuesOf = Effect.fnUntraced(function* (provider: Provider, before: Provider | undefined) {
  const { mode } = yield* Deployment
  const issues: Array<FieldIssue> = []
  const wrong = issuerProblem(provider.issuer, mode === "dev")
  if (wrong !== undefined) issues.push({ pointer: "/issuer", detail: wrong })
  if (before !== undefined && before.issuer !== provider.issuer)
    issues.push({
      pointer: "/issuer",
      detail: "Identities belong to their issuer. Add the new one as another provider and switch this one off."
    })
  provider.redirectUris.forEach((uri, place) => {
    const detail = redirectProblem(uri)
    if (detail !== undefined) issues.push({ pointer: `/redirectUris/${place}`, detail })
  })
  return issues
})

/** Adds or changes one. `clientSecret`: absent is as before, null is none. */
export const putProvider = Effect.fn("identity.putProvider")(function* (
  provider: Provider,
  clientSecret: Redacted.Redacted<string> | null | undefined
) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const { active, admits, clientId, id, issuer, redirectUris, requires, scopes, secondFactor, title } = provider
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`mahalla.openid_provider ${tenantId}`}, 0))`
  const all = yield* rowsOf(null)
  const before = all.find((one) => one.id === id)
  const issues = yield* issuesOf(provider, before)
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  const same = all.find((one) => one.issuer === issuer && one.id !== id)
  if (same !== undefined)
    return yield* new Refused({
      code: "issuer-exists",
      message: `This issuer is the provider ${same.id} already, and whoever signs in there would be two people here.`
    })
  const secret =
    clientSecret === undefined
      ? (before?.clientSecret ?? null)
      : clientSecret === null
        ? null
        : yield* clientSecretColumn.seal(id, Redacted.value(clientSecret))
  const factor = secondFactor === null ? null : JSON.stringify(secondFactor)
  yield* sql`
    insert into mahalla.openid_provider (tenant_id, id, title, issuer, client_id, client_secret, scopes, admits, requires, second_factor,
                                         redirect_uris, active)
    values (${tenantId}, ${id}, ${JSON.stringify(title)}::text::jsonb, ${issuer}, ${clientId}, ${secret}, ${scopes}::text[], ${admits}::text[],
            ${JSON.stringify(requires)}::text::jsonb, ${factor}::text::jsonb, ${redirectUris}::text[], ${active})
    on conflict (tenant_id, id) do update
      set title = excluded.title, client_id = excluded.client_id, client_secret = excluded.client_secret, scopes = excluded.scopes,
          admits = excluded.admits, requires = excluded.requires, second_factor = excluded.second_factor,
          redirect_uris = excluded.redirect_uris, active = excluded.active`
  yield* appendEvent(
    OpenIdProviderChanged,
    { provider: id, issuer, admits, active, secondFactor: secondFactor !== null },
    { actorId }
  )
  return { ...provider, hasSecret: secret !== null }
})

/** Takes one away that nobody signs in with. */
export const removeProvider = Effect.fn("identity.removeProvider")(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  // Whoever links an identity meanwhile waits for this, and then finds no provider.
  const known = yield* sql`
    select from mahalla.openid_provider where tenant_id = ${tenantId} and id = ${id} for update`
  if (known.length === 0) return yield* new NotFound({ what: "provider", id })
  const links = yield* sql`
    select from mahalla.openid_link where tenant_id = ${tenantId} and provider_id = ${id} limit 1`
  if (links.length > 0)
    return yield* new Refused({
      code: "provider-in-use",
      message: "People sign in through this provider. Switch it off instead: active false."
    })
  yield* sql`delete from mahalla.openid_provider where tenant_id = ${tenantId} and id = ${id}`
  yield* appendEvent(OpenIdProviderRemoved, { provider: id }, { actorId })
})
