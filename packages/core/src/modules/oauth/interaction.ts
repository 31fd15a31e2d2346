/** Signing in and consenting, step by step: one form a page, 303 after each, nothing remembered outside the provider's own record. */
import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import type { MountFacts } from "../../kernel/module/defineModule.ts"
import { nameOf, type NameRow, phoneOf, type PhoneRow } from "../../kernel/personal/people.ts"
import type { RoleBook } from "../../kernel/policy/roles.ts"
import type { Messengers } from "../../kernel/ports.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"
import { personByCode, Phone, type Proved, proveFactor, sendCodeTo } from "../identity/index.ts"
import { readForm } from "./form.ts"
import type { Addresses } from "./issuer.ts"
import {
  type ConsentFacts,
  codePage,
  consentPage,
  expiredPage,
  factorPage,
  type Form,
  phonePage,
  securityHeaders
} from "./pages.ts"
import type { Provider } from "./provider.ts"
import { apiScopes, citizenScopes, identityScopeIds } from "./scopes.ts"
import type { Limiter } from "../../ports/Limiter.ts"
import { type Seal, sealOf } from "./seal.ts"
import { languageOf, textsOf } from "./texts.ts"

export type OAuthServices = Database | Keys | Limiter | Messengers | RoleBook

type Interaction = Awaited<ReturnType<Provider["interactionDetails"]>>

interface Room {
  readonly provider: Provider
  readonly tenant: Tenant
  readonly addresses: Addresses
  readonly facts: MountFacts
  readonly run: <A, E>(effect: Effect.Effect<A, E, OAuthServices>) => Promise<A>
}

/** Of an authenticator app, or a recovery code. */
const factorForm = /^(\d{6}|[0-9A-Za-z]{5}-?[0-9A-Za-z]{5})$/

const isPhone = Schema.is(Phone)

/** The phone between its two steps: sealed for this interaction, so that neither address nor page shows it. */
const phoneCookie = "mahalla_phone"
const place = (uid: string) => `phone ${uid}`

/** Who has shown a code of their phone and must show a second factor yet: sealed likewise. */
const provedCookie = "mahalla_proved"
const provedPlace = (uid: string) => `proved ${uid}`
/** Seconds for which that is remembered. */
const provedLife = 600

interface HalfWay extends Proved {
  /** Epoch milliseconds. */
  readonly until: number
}

const cookieOf = (request: IncomingMessage, name: string) =>
  (request.headers.cookie ?? "")
    .split(/;\s*/)
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1)

const sameText = (a: string, b: string) => {
  const hash = (text: string) => createHash("sha256").update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}

/** What the citizen is asked for: what the app asks and may ask, in the order of our list. */
const askedScopes = (details: Interaction, allowed: ReadonlyArray<string>) => {
  const asked = String(details.params["scope"] ?? "").split(" ")
  return [...citizenScopes.values()].filter(({ id }) => asked.includes(id) && allowed.includes(id))
}

const appOf = (id: string) =>
  Effect.flatMap(TenantTx, ({ sql, tenantId }) =>
    Effect.map(
      sql<{ name: string; homepage: string | null; scopes: ReadonlyArray<string> }>`
        select name, homepage, scopes from mahalla.oauth_client where tenant_id = ${tenantId} and id = ${id}`,
      ([row]) => row
    )
  )

const personOf = (id: string) =>
  Effect.flatMap(TenantTx, ({ sql, tenantId }) =>
    Effect.gen(function* () {
      const [row] = yield* sql<NameRow & PhoneRow & { readonly kind: string }>`
        select id, kind, name, name_sealed, phone, phone_sealed from mahalla.principal
        where tenant_id = ${tenantId} and id = ${id} and status = 'active'`
      return row === undefined ? undefined : { kind: row.kind, name: yield* nameOf(row), phone: yield* phoneOf(row) }
    })
  )

/** The words for what an effect refused, or its result. */
const refusal = (error: unknown): { readonly _tag?: string; readonly retryAfter?: number } =>
  typeof error === "object" && error !== null ? error : {}

/** Answers everything below `/interaction`. */
export const answerInteraction =
  (room: Room) =>
  async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { addresses, facts, provider, run, tenant } = room
    const inside = <A, E>(effect: Effect.Effect<A, E, TenantTx | OAuthServices>) =>
      run(withTenant(tenant.tenantId)(effect))
    const accepted = languageOf(request.headers["accept-language"] ?? "", tenant)
    const send = (status: number, html: string, redirectUri?: string) => {
      response.writeHead(status, securityHeaders(redirectUri)).end(html)
    }
    const details = await provider.interactionDetails(request, response).catch(() => undefined)
    const [, uid, step = ""] =
      /^\/interaction\/([A-Za-z0-9_-]{10,64})(?:\/([a-z]+))?(?:\?|$)/.exec(request.url ?? "") ?? []
    if (details === undefined || details.uid !== uid) return send(400, expiredPage(accepted))
    const { params } = details
    const language = languageOf(
      `${String(params["ui_locales"] ?? "")} ${request.headers["accept-language"] ?? ""}`,
      tenant
    )
    const t = textsOf(language)
    const redirectUri = String(params["redirect_uri"])
    const action = `${addresses.mountPath}/interaction/${uid}`
    const { csrf, seal } = await run(
      Effect.gen(function* () {
        const keys = yield* Keys
        return {
          csrf: Buffer.from(keys.mac("oauth-csrf", `${tenant.tenantId} ${uid}`)).toString("base64url"),
          seal: (yield* sealOf(tenant.tenantId)) satisfies Seal
        }
      })
    )
    const app = await inside(appOf(String(params["client_id"])))
    if (app === undefined) return send(400, expiredPage(language))
    const form = (problem?: string): Form => ({ language, action, csrf, ...(problem === undefined ? {} : { problem }) })
    /** Undefined takes it away. */
    const setCookie = (name: string, value: string | undefined) =>
      response.appendHeader(
        "set-cookie",
        `${name}=${value ?? ""}; Path=${action}; HttpOnly; SameSite=Lax; Max-Age=${value === undefined ? 0 : provedLife}${addresses.issuer.startsWith("https:") ? "; Secure" : ""}`
      )
    const purpose = `app ${uid}` as const
    const phone = seal.open(place(uid), cookieOf(request, phoneCookie) ?? "")
    const now = await run(Clock.currentTimeMillis)
    // Sealed by us, so it is what we have put in.
    const kept = seal.open(provedPlace(uid), cookieOf(request, provedCookie) ?? "") as HalfWay | undefined
    const halfWay = kept !== undefined && kept.until > now ? kept : undefined
    const accountId = details.session?.accountId
    const person = accountId === undefined ? undefined : await inside(personOf(accountId))
    const scopes = askedScopes(details, app.scopes)
    const onPhone = (status: number, problem?: string) =>
      send(status, phonePage(form(problem), app.name, tenant.name), redirectUri)
    const onCode = (status: number, to: string, problem?: string) =>
      send(status, codePage(form(problem), to.slice(-2)), redirectUri)
    const onFactor = (status: number, { needs }: Proved, problem?: string) =>
      send(status, factorPage(form(problem), needs === "code"), redirectUri)
    /** Who somebody is has been shown. */
    const enter = async (principalId: string, amr: ReadonlyArray<string>) => {
      setCookie(provedCookie, undefined)
      if (accountId !== undefined && accountId !== principalId) await forgetSession(provider, details)
      return provider.interactionFinished(
        request,
        response,
        { login: { accountId: principalId, remember: false, amr: [...amr] } },
        { mergeWithLastSubmission: false }
      )
    }
    const goTo = (url: string) => {
      response.writeHead(303, { location: url, "cache-control": "no-store", "referrer-policy": "no-referrer" }).end()
    }

    if (request.method === "GET" || request.method === "HEAD") {
      if (step === "code" && typeof phone === "string") return onCode(200, phone)
      if (step === "factor" && halfWay !== undefined) return onFactor(200, halfWay)
      if (step !== "") return goTo(action)
      if (details.prompt.name === "login" || person === undefined) return onPhone(200)
      const facts: ConsentFacts = {
        app: app.name,
        homepage: app.homepage,
        who: person.name ?? t.lastDigits(person.phone?.slice(-2) ?? "…"),
        redirectUri,
        scopes
      }
      return send(200, consentPage(form(), facts), redirectUri)
    }
    if (request.method !== "POST") return send(405, expiredPage(language))

    const given = await readForm(request)
    const site = request.headers["sec-fetch-site"]
    const origin = request.headers["origin"]
    const foreign =
      (site !== undefined && site !== "same-origin" && site !== "none") ||
      (origin !== undefined && origin !== "null" && origin !== new URL(addresses.issuer).origin)
    if (given === undefined || foreign || !sameText(given.get("csrf") ?? "", csrf))
      return send(403, expiredPage(language))

    if (step === "refuse") {
      return provider.interactionFinished(
        request,
        response,
        { error: "access_denied", error_description: "The citizen refused." },
        { mergeWithLastSubmission: false }
      )
    }
    if (step === "phone") {
      const asked = (given.get("phone") ?? "").replaceAll(/[\s()-]/g, "")
      if (!isPhone(asked)) return onPhone(422, t.wrongPhone)
      const failed = await run(sendCodeTo({ tenant, ip: facts.ip, phone: asked, language, purpose })).then(
        () => undefined,
        refusal
      )
      // Who asks again for a code that is on its way is shown where to enter it.
      if (failed !== undefined && (failed._tag !== "TooManyRequests" || phone !== asked)) {
        if (failed._tag === "TooManyRequests") return onPhone(429, t.wait(failed.retryAfter ?? 60))
        throw new Error("The code could not be sent", { cause: failed })
      }
      setCookie(phoneCookie, seal.close(place(uid), asked))
      return goTo(`${action}/code`)
    }
    if (step === "code") {
      if (typeof phone !== "string") return goTo(action)
      const code = (given.get("code") ?? "").trim()
      if (!/^\d{6}$/.test(code)) return onCode(422, phone, t.wrongCode)
      const proved = await run(personByCode({ tenant, ip: facts.ip, phone, language, code, purpose })).catch(refusal)
      if (!("principalId" in proved)) {
        if (proved._tag === "TooManyRequests") return onCode(429, phone, t.wait(proved.retryAfter ?? 60))
        if (proved._tag === "SignInRefused") return onCode(422, phone, t.wrongCode)
        throw new Error("The code could not be checked", { cause: proved })
      }
      setCookie(phoneCookie, undefined)
      // Staff have more rights and stronger ways to show who they are: none of these is lent to an app.
      if ((await inside(personOf(proved.principalId)))?.kind !== "person") return onPhone(403, t.notForStaff)
      if (proved.needs === "nothing") return enter(proved.principalId, ["otp"])
      // Pages without scripts cannot ask for one.
      if (proved.needs === "passkey") return onPhone(403, t.passkeyOnly)
      const remembered: HalfWay = { ...proved, until: now + provedLife * 1000 }
      setCookie(provedCookie, seal.close(provedPlace(uid), remembered))
      return goTo(`${action}/factor`)
    }
    if (step === "factor") {
      if (halfWay === undefined) return goTo(action)
      const { principalId } = halfWay
      const code = (given.get("factor") ?? "").replaceAll(/\s/g, "")
      if (!factorForm.test(code)) return onFactor(422, halfWay, t.wrongFactor)
      const failed = await run(proveFactor(tenant.tenantId, principalId, code)).then(() => undefined, refusal)
      if (failed?._tag === "TooManyRequests") return onFactor(429, halfWay, t.wait(failed.retryAfter ?? 60))
      if (failed?._tag === "SignInRefused") return onFactor(422, halfWay, t.wrongFactor)
      if (failed !== undefined) throw new Error("The second factor could not be checked", { cause: failed })
      // They may have been blocked since they showed their phone's code.
      if ((await inside(personOf(principalId)))?.kind !== "person") return onPhone(403, t.notForStaff)
      return enter(principalId, ["otp", "mfa"])
    }
    if (step === "leave") {
      await forgetSession(provider, details)
      return goTo(action)
    }
    if (step === "consent" && person !== undefined && accountId !== undefined && details.prompt.name === "consent") {
      const ticked = given.getAll("scope")
      const grant = new provider.Grant({ accountId, clientId: String(params["client_id"]) })
      // What was asked and not ticked is kept as refused, so that it is not asked again at once.
      for (const { id } of scopes) {
        const yes = id === "openid" || ticked.includes(id)
        if (identityScopeIds.includes(id)) {
          if (yes) grant.addOIDCScope(id)
          else grant.rejectOIDCScope(id)
        } else if (apiScopes.some((scope) => scope.id === id)) {
          if (yes) grant.addResourceScope(addresses.resource, id)
          else grant.rejectResourceScope(addresses.resource, id)
        }
      }
      if (!scopes.some(({ id }) => id === "openid" || ticked.includes(id)))
        return provider.interactionFinished(
          request,
          response,
          { error: "access_denied", error_description: "The citizen allowed nothing." },
          { mergeWithLastSubmission: false }
        )
      const grantId = await grant.save()
      return provider.interactionFinished(
        request,
        response,
        { consent: { grantId } },
        { mergeWithLastSubmission: true }
      )
    }
    return goTo(action)
  }

/** Ends the browser's session with the provider; the interaction goes on without one. */
const forgetSession = async (provider: Provider, details: Interaction): Promise<void> => {
  const cookie = details.session?.cookie
  const session = cookie === undefined ? undefined : await provider.Session.find(cookie)
  await session?.destroy()
  delete details.session
  await details.persist()
}
