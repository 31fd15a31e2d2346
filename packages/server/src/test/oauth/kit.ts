/** A city, an app, and a citizen who lets it: what tests of the OAuth provider begin with. */
import { randomInt } from "node:crypto"
import * as oauth from "oauth4webapi"
import { type CityKit, type TenantKit } from "../cityKit.ts"
import type { Client } from "../client.ts"
import { type Browser, openBrowser, type Page } from "./browser.ts"

export const callback = "https://app.example/callback"

export interface App {
  readonly id: string
  readonly secret: string | null
  readonly issuer: string
  readonly resource: string
  readonly client: oauth.Client
  readonly auth: oauth.ClientAuth
  readonly server: oauth.AuthorizationServer
}

/** What the independent client must be told so that it speaks to a server on this machine. */
export const plain = { [oauth.allowInsecureRequests]: true } as const

export const discover = async (issuer: string) =>
  oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), plain))

/** Registers an app and lets it in. */
export const newApp = async (
  tenant: TenantKit,
  developer: Client,
  given: Record<string, unknown> = {}
): Promise<App> => {
  const made = await developer.post("/v1/apps", {
    name: "Yo‘l yordamchi",
    auth: "client_secret_basic",
    redirectUris: [callback],
    grantTypes: ["authorization_code", "refresh_token"],
    scopes: ["openid", "profile", "offline_access", "cases.read", "cases.write"],
    ...given
  })
  if (made.status !== 201) throw new Error(`The app was not taken: ${made.text}`)
  const { clientSecret, id, issuer, resource } = made.body
  const decided = await tenant.staff["municipality-admin"].call("PUT", `/v1/apps/${id}/status`, {
    body: { status: "active" }
  })
  if (decided.status !== 200) throw new Error(`The app was not let in: ${decided.text}`)
  return {
    id,
    secret: clientSecret,
    issuer,
    resource,
    client: { client_id: id },
    auth: clientSecret === null ? oauth.None() : oauth.ClientSecretBasic(clientSecret),
    server: await discover(issuer)
  }
}

export const anyPhone = () => `+99890${randomInt(1_000_000, 10_000_000)}`

/** The last code that the city sent to a phone. */
export const codeFor = async (tenant: TenantKit, phone: string): Promise<string> => {
  const { body } = await tenant.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
  const text = String(body.items.findLast((message: { class: string }) => message.class === "code").text)
  return /\b\d{6}\b/.exec(text)![0]
}

export interface Request {
  readonly url: URL
  readonly verifier: string
  readonly state: string
  readonly nonce: string
}

/** An authorization request as the app makes it. `null` leaves a parameter out. */
export const requestOf = async (app: App, change: Readonly<Record<string, string | null>> = {}): Promise<Request> => {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const url = new URL(app.server.authorization_endpoint!)
  const wanted: Readonly<Record<string, string | null>> = {
    client_id: app.id,
    redirect_uri: callback,
    response_type: "code",
    scope: "openid offline_access cases.read cases.write",
    prompt: "consent",
    resource: app.resource,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...change
  }
  for (const [name, value] of Object.entries(wanted)) if (value !== null) url.searchParams.set(name, value)
  return { url, verifier, state, nonce }
}

/** Signs in by phone on the page that asks for it. */
export const signIn = async (tenant: TenantKit, browser: Browser, page: Page, phone: string): Promise<Page> => {
  const asked = await browser.submit(page, "phone", [["phone", phone]])
  return browser.submit(asked, "code", [["code", await codeFor(tenant, phone)]])
}

/** The whole way through sign-in and consent; the page at the end is the app's address with the answer. */
export const consent = async (
  kit: CityKit,
  tenant: TenantKit,
  url: URL,
  options: { readonly phone?: string; readonly scopes?: ReadonlyArray<string>; readonly browser?: Browser } = {}
): Promise<URL> => {
  const browser = options.browser ?? openBrowser(kit.url)
  let page = await browser.open(url.href)
  if (page.status === 200 && page.html.includes('name="phone"'))
    page = await signIn(tenant, browser, page, options.phone ?? anyPhone())
  if (page.status === 200 && page.html.includes("/consent"))
    page = await browser.submit(
      page,
      "consent",
      (options.scopes ?? ["offline_access", "profile", "cases.read", "cases.write"]).map((scope) => ["scope", scope])
    )
  if (page.status !== 0)
    throw new Error(`Did not come back to the app: ${page.status} ${page.url} ${page.html.slice(-800)}`)
  return new URL(page.url)
}

export interface Tokens {
  readonly access_token: string
  readonly refresh_token?: string | undefined
  readonly id_token?: string | undefined
  readonly scope?: string | undefined
  readonly expires_in?: number | undefined
}

/** Exchanges the code as the independent client does, with every check that it makes. */
export const redeem = async (
  app: App,
  answer: URL,
  request: Request,
  parameters: Record<string, string> = {},
  options: oauth.TokenEndpointRequestOptions = {}
) => {
  const checked = oauth.validateAuthResponse(app.server, app.client, answer, request.state)
  const response = await oauth.authorizationCodeGrantRequest(
    app.server,
    app.client,
    app.auth,
    checked,
    request.url.searchParams.get("redirect_uri") ?? callback,
    request.verifier,
    { ...plain, additionalParameters: parameters, ...options }
  )
  return oauth.processAuthorizationCodeResponse(app.server, app.client, response, { expectedNonce: request.nonce })
}

/** A citizen who has let the app act, with the app's tokens for the API. */
export const connected = async (kit: CityKit, tenant: TenantKit, app: App, phone = anyPhone()) => {
  const request = await requestOf(app)
  const answer = await consent(kit, tenant, request.url, { phone })
  const tokens = await redeem(app, answer, request, { resource: app.resource })
  return { tokens: tokens as Tokens, code: answer.searchParams.get("code")!, request, phone }
}

/** The token endpoint without anybody's help: what the answer really is. */
export const tokenCall = async (app: App, body: Record<string, string>, headers: Record<string, string> = {}) => {
  const basic =
    app.secret === null ? {} : { authorization: `Basic ${Buffer.from(`${app.id}:${app.secret}`).toString("base64")}` }
  const response = await fetch(app.server.token_endpoint!, {
    method: "POST",
    body: new URLSearchParams(app.secret === null ? { client_id: app.id, ...body } : body),
    headers: { ...basic, ...headers }
  })
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of every shape
  return { status: response.status, headers: response.headers, body: (await response.json()) as any }
}
