/** Outside providers beside a city, and somebody with a browser who goes there and back. */
import { spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { join } from "node:path"
import { expect } from "vitest"
import type { CityKit, TenantKit } from "../cityKit.ts"
import type { Answer, Client } from "../client.ts"
import { type Browser, openBrowser, type Page } from "../oauth/browser.ts"
import type { Lie, ProviderClient } from "./provider.ts"

export const appAddress = "https://app.example/signed-in"
export const secret = "the secret of the city at the provider"

export interface Providers {
  /** A country's, and a company's. */
  readonly issuers: readonly [string, string]
  /** Something is wrong with the issuer's next ID token. */
  readonly lie: (issuer: string, lie: Lie) => Promise<void>
  readonly close: () => Promise<void>
}

/** Two providers in one process; both know every city's address. */
export const startProviders = async (kit: Pick<CityKit, "url">): Promise<Providers> => {
  const redirectUris = ["samarkand", "bukhara"].flatMap((slug) =>
    ["country", "company"].map((id) => `${kit.url}/t/${slug}/v1/auth/openid/${id}/callback`)
  )
  const clients: ReadonlyArray<ProviderClient> = [{ id: "the-city", secret, redirectUris }]
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", join(import.meta.dirname, "provider.ts"), JSON.stringify(clients)],
    { stdio: ["ignore", "ignore", "ignore", "ipc"] }
  )
  const [first] = (await once(child, "message")) as [{ readonly issuers: readonly [string, string] }]
  return {
    issuers: first.issuers,
    lie: async (issuer, lie) => {
      const heard = once(child, "message")
      child.send({ issuer, lie })
      await heard
    },
    close: async () => {
      child.kill("SIGKILL")
      await once(child, "exit")
    }
  }
}

export const providerBody = (issuer: string, change: Readonly<Record<string, unknown>> = {}) => ({
  title: { en: "The country", uz: "Davlat", ru: "Страна" },
  issuer,
  clientId: "the-city",
  clientSecret: secret,
  scopes: ["openid", "email", "profile"],
  admits: ["citizens"],
  requires: {},
  secondFactor: null,
  redirectUris: [appAddress],
  active: true,
  ...change
})

export const putProvider = async (
  tenant: TenantKit,
  id: "country" | "company",
  body: Readonly<Record<string, unknown>>
) => {
  const answer = await tenant.staff["municipality-admin"].call("PUT", `/v1/openid-providers/${id}`, { body })
  expect([answer.status, answer.text]).toEqual([200, answer.text])
  return answer.body
}

/** Who somebody is at the provider. */
export interface Person {
  readonly sub: string
  readonly claims?: Readonly<Record<string, unknown>>
  readonly amr?: string
  readonly acr?: string
}

export interface Way {
  readonly tenant: TenantKit
  readonly provider: "country" | "company"
  readonly browser: Browser
  readonly codeVerifier: string
}

export const newVerifier = () => randomBytes(32).toString("base64url")
export const challengeOf = (verifier: string) => createHash("sha256").update(verifier).digest("base64url")

export const anyBrowser = (kit: Pick<CityKit, "url">, { issuers }: Pick<Providers, "issuers">) =>
  openBrowser([kit.url, ...issuers])

/** Goes to the provider; stands on its page then. */
export const leave = async (way: Way, query: Readonly<Record<string, string>> = {}): Promise<Page> => {
  const parameters = new URLSearchParams({
    redirectUri: appAddress,
    codeChallenge: challengeOf(way.codeVerifier),
    ...query
  })
  return way.browser.open(`${way.tenant.visitor.base}/v1/auth/openid/${way.provider}?${parameters}`)
}

/** Says on the provider's page who one is; the page at the end is the app's, or the callback's where the way ends at the provider. */
export const sayWho = (
  way: Way,
  page: Page,
  { acr = "", amr = "", claims = {}, sub }: Person,
  until: "app" | "callback" = "app"
): Promise<Page> => {
  const fields = { login: sub, claims: JSON.stringify(claims), amr, acr }
  return way.browser.submit(page, "login", Object.entries(fields), until === "app" ? "" : new URL(page.url).origin)
}

/** There and back: the ticket. */
export const ticketFor = async (way: Way, person: Person, query: Readonly<Record<string, string>> = {}) => {
  const asked = await leave(way, query)
  const back = asked.html.includes("/login") ? await sayWho(way, asked, person) : asked
  if (back.status !== 0) throw new Error(`Did not come back: ${back.status} ${back.url} ${back.html.slice(0, 600)}`)
  const ticket = new URL(back.url).searchParams.get("ticket")
  if (ticket === null) throw new Error(`Came back without a ticket: ${back.url}`)
  return ticket
}

export const useTicket = ({ codeVerifier, tenant }: Way, ticket: string, client: Client = tenant.visitor) =>
  client.post("/v1/auth/openid/session", { ticket, codeVerifier })

/** The whole way; `client` is signed in where it worked. */
export const signInBy = async (
  way: Way,
  person: Person,
  query: Readonly<Record<string, string>> = {}
): Promise<{ readonly answer: Answer; readonly client: Client }> => {
  const answer = await useTicket(way, await ticketFor(way, person, query))
  return { answer, client: way.tenant.visitor.with({ authorization: `Bearer ${answer.body?.accessToken}` }) }
}
