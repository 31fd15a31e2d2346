/**
 * Sign-ins under way. One leaves with a browser and comes back with the same one, once; what the app then gets is a ticket, which it
 * exchanges once, and only together with the verifier that it has kept (RFC 7636, between app and city as between city and provider).
 */
import { createHash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { type Exchange, openIdRefused, OpenIdClients } from "./openIdClient.ts"
import { openIdLimits } from "./openIdModel.ts"
import { providerInForce } from "./openIdProviders.ts"

const answerColumn = sealedColumn("openid_attempt", "answer")

const random = () => randomBytes(32).toString("base64url")
const hashOf = (text: string) => createHash("sha256").update(text).digest("base64url")

/** Form of a state, a ticket, a browser's number and a challenge: 256 bits. */
export const secretPattern = /^[A-Za-z0-9_-]{43}$/

/** What goes out with a state follows from it, so that it is kept nowhere. */
const exchangeOf = Effect.fnUntraced(function* (tenantId: string, state: string, fresh: boolean) {
  const keys = yield* Keys
  const from = (purpose: string) => Buffer.from(keys.mac(purpose, `${tenantId} ${state}`)).toString("base64url")
  const exchange: Exchange = { state, nonce: from("openid-nonce"), verifier: from("openid-verifier"), fresh }
  return exchange
})

export interface Start {
  readonly provider: string
  /** Where the provider sends the browser back to. */
  readonly callback: string
  /** Where the app wants it to be sent from there; absent is the city's own page. */
  readonly redirectUri: string | undefined
  readonly ownPage: string
  readonly codeChallenge: string
  readonly appState: string | undefined
  readonly fresh: boolean
  readonly language: string | undefined
  /** Of a cookie of before. */
  readonly browser: string | undefined
}

/** The app's address with what it is to hear. */
const backTo = (redirectUri: string, appState: string | null | undefined, told: Readonly<Record<string, string>>) => {
  const url = new URL(redirectUri)
  for (const [name, value] of Object.entries({ ...told, ...(appState == null ? {} : { state: appState }) }))
    url.searchParams.set(name, value)
  return url.href
}

/** Keeps a new sign-in, and says where the browser goes and what cookie it takes along. */
export const startAttempt = Effect.fn("identity.startAttempt")(function* (tenantId: string, start: Start) {
  const { appState, browser = random(), callback, codeChallenge, fresh, language, ownPage } = start
  const provider = yield* withTenant(tenantId)(providerInForce(start.provider))
  const redirectUri = start.redirectUri ?? ownPage
  if (redirectUri !== ownPage && !provider.redirectUris.includes(redirectUri))
    return yield* new InvalidInput({
      issues: [
        {
          pointer: "#query/redirectUri",
          detail: "This address is not among the provider's redirectUris. An administrator adds it, letter by letter."
        }
      ]
    })
  const state = random()
  const exchange = yield* exchangeOf(tenantId, state, fresh)
  const asked = yield* Effect.result(
    (yield* OpenIdClients).authorizationUrl(provider, { ...exchange, callback, language })
  )
  // The app knows how to tell somebody that it did not work; a browser that stands at this address does not.
  if (Result.isFailure(asked))
    return { url: backTo(redirectUri, appState, { error: "temporarily_unavailable" }), browser }
  const expires = new Date((yield* Clock.currentTimeMillis) + openIdLimits.attemptLife * 1_000)
  const keep = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    yield* sql`
      insert into mahalla.openid_attempt (tenant_id, state_hash, provider_id, browser_hash, redirect_uri, app_state, challenge, fresh, expires_at)
      values (${tenantId}, ${hashOf(state)}, ${provider.id}, ${hashOf(browser)}, ${redirectUri}, ${appState ?? null}, ${codeChallenge}, ${fresh},
              ${expires})`
  })
  yield* withTenant(tenantId)(keep)
  return { url: asked.success.href, browser }
})

interface Back {
  readonly redirect_uri: string
  readonly app_state: string | null
}

/** What an app is told of a provider's refusal; other words of it are nobody's business. */
const toldErrors: ReadonlySet<string> = new Set(["access_denied", "login_required", "temporarily_unavailable"])

/** The browser is back: where it goes now, or undefined where it did not leave from here. Of several with one state, one gets on. */
export const takeAnswer = Effect.fn("identity.takeAnswer")(function* (
  tenantId: string,
  provider: string,
  search: string,
  browser: string | undefined
) {
  const given = new URLSearchParams(search)
  const [state = "", ...others] = given.getAll("state")
  if (others.length > 0 || !secretPattern.test(state) || browser === undefined || search.length > 4_096)
    return undefined
  const stateHash = hashOf(state)
  const now = yield* Clock.currentTimeMillis
  const refusal = given.get("error")
  if (refusal !== null) {
    const over = Effect.gen(function* () {
      const { sql } = yield* TenantTx
      return yield* sql<Back>`
        delete from mahalla.openid_attempt
        where tenant_id = ${tenantId} and state_hash = ${stateHash} and provider_id = ${provider} and browser_hash = ${hashOf(browser)}
          and ticket_hash is null and expires_at > ${new Date(now)}
        returning redirect_uri, app_state`
    })
    const [back] = yield* withTenant(tenantId)(over)
    const error = toldErrors.has(refusal) ? refusal : "server_error"
    return back === undefined ? undefined : backTo(back.redirect_uri, back.app_state, { error })
  }
  const ticket = random()
  const keep = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    const sealed = yield* answerColumn.seal(stateHash, search)
    return yield* sql<Back>`
      update mahalla.openid_attempt
      set ticket_hash = ${hashOf(ticket)}, answer = ${sealed}, expires_at = ${new Date(now + openIdLimits.ticketLife * 1_000)}
      where tenant_id = ${tenantId} and state_hash = ${stateHash} and provider_id = ${provider} and browser_hash = ${hashOf(browser)}
        and ticket_hash is null and expires_at > ${new Date(now)}
      returning redirect_uri, app_state`
  })
  const [back] = yield* withTenant(tenantId)(keep)
  return back === undefined ? undefined : backTo(back.redirect_uri, back.app_state, { ticket })
})

interface Taken {
  readonly state_hash: string
  readonly provider_id: string
  readonly challenge: string
  readonly fresh: boolean
  readonly answer: string
}

/**
 * Exchanges a ticket for whom the provider has seen. The ticket is gone, whatever becomes of it: that is committed before the provider is
 * asked. `callbackOf`: the address that the provider knows.
 */
export const useTicket = Effect.fn("identity.useTicket")(function* (
  tenantId: string,
  given: { readonly ticket: string; readonly codeVerifier: string },
  callbackOf: (provider: string) => string
) {
  const now = new Date(yield* Clock.currentTimeMillis)
  const take = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    const [row] = yield* sql<Taken>`
      delete from mahalla.openid_attempt
      where tenant_id = ${tenantId} and ticket_hash = ${hashOf(given.ticket)} and expires_at > ${now}
      returning state_hash, provider_id, challenge, fresh, answer`
    if (row === undefined || row.challenge !== hashOf(given.codeVerifier)) return undefined
    return { ...row, search: yield* answerColumn.open(row.state_hash, row.answer) }
  })
  const taken = yield* withTenant(tenantId)(take)
  if (taken === undefined) return yield* openIdRefused
  const provider = yield* withTenant(tenantId)(providerInForce(taken.provider_id)).pipe(
    Effect.catchTag("NotFound", () => Effect.fail(openIdRefused))
  )
  const answer = new URL(callbackOf(provider.id))
  answer.search = taken.search
  const exchange = yield* exchangeOf(tenantId, answer.searchParams.get("state") ?? "", taken.fresh)
  const identity = yield* (yield* OpenIdClients).identity(provider, { ...exchange, answer })
  return { provider, identity }
})
