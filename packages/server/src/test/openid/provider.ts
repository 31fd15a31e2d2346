/**
 * Outside OpenID providers in a process of their own: `oidc-provider` with a page on which whoever comes says who they are. On demand they lie
 * in one answer, as a provider that was taken over would.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as jose from "jose"
import { Provider } from "oidc-provider"

export interface ProviderClient {
  readonly id: string
  readonly secret: string
  readonly redirectUris: ReadonlyArray<string>
}

/** What is wrong with the next ID token. */
export type Lie = "nonce" | "foreign-key" | "issuer" | "audience" | "expired" | "unsigned" | "error"

const clients = JSON.parse(process.argv[2] ?? "[]") as ReadonlyArray<ProviderClient>
const lies = new Map<string, Lie>()

/** By what was typed into the page: the subject and the claims. */
const accounts = new Map<string, Readonly<Record<string, unknown>>>()

const bodyOf = async (request: IncomingMessage) => {
  let text = ""
  for await (const chunk of request) text += String(chunk)
  return new URLSearchParams(text)
}

/** The ID token with something wrong in it. */
const spoiled = async (token: string, lie: Lie, key: CryptoKey, foreign: CryptoKey): Promise<string> => {
  const header = jose.decodeProtectedHeader(token)
  const claims = jose.decodeJwt(token)
  const changes: Readonly<Record<Lie, jose.JWTPayload>> = {
    nonce: { nonce: "of another sign-in" },
    "foreign-key": {},
    issuer: { iss: "http://another.example" },
    audience: { aud: "another client" },
    expired: { exp: Math.floor(Date.now() / 1_000) - 3_600 },
    unsigned: {},
    error: {}
  }
  const changed = { ...claims, ...changes[lie] }
  if (lie === "unsigned")
    return `${jose.base64url.encode('{"alg":"none"}')}.${jose.base64url.encode(JSON.stringify(changed))}.`
  return new jose.SignJWT(changed)
    .setProtectedHeader({ alg: "ES256", kid: header.kid! })
    .sign(lie === "foreign-key" ? foreign : key)
}

const page = (title: string, uid: string) => `<!doctype html><html lang="en"><title>${title}</title>
<form method="post" action="/interaction/${uid}/login"><input name="login" required><input name="claims"><input name="amr"><input name="acr">
<button>Sign in</button></form></html>`

const open = async (known: ReadonlyArray<ProviderClient>) => {
  const { privateKey } = await jose.generateKeyPair("ES256", { extractable: true })
  const foreign = await jose.generateKeyPair("ES256")
  const jwk = { ...(await jose.exportJWK(privateKey)), kid: "of this provider", alg: "ES256", use: "sig" }
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, {
    clients: known.map(({ id, redirectUris, secret }) => ({
      client_id: id,
      client_secret: secret,
      redirect_uris: [...redirectUris],
      id_token_signed_response_alg: "ES256"
    })),
    jwks: { keys: [jwk as never] },
    cookies: { keys: ["only for tests"] },
    scopes: ["openid", "email", "profile"],
    claims: {
      openid: ["sub", "amr"],
      email: ["email", "email_verified"],
      profile: ["name", "groups"]
    },
    acrValues: ["urn:example:two-factors"],
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    // Whoever has signed in has agreed.
    loadExistingGrant: async (context) => {
      const grant = new context.oidc.provider.Grant({
        clientId: context.oidc.client!.clientId,
        accountId: context.oidc.session!.accountId!
      })
      grant.addOIDCScope("openid email profile")
      await grant.save()
      return grant
    },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, ...accounts.get(`${issuer} ${sub}`) }) })
  })
  provider.use(async (context, next) => {
    await next()
    const lie = lies.get(issuer)
    if (context.path !== "/token" || lie === undefined) return
    lies.delete(issuer)
    if (lie === "error") {
      context.status = 500
      return
    }
    const body = context.body as { id_token?: string }
    if (body.id_token !== undefined)
      context.body = { ...body, id_token: await spoiled(body.id_token, lie, privateKey, foreign.privateKey) }
  })
  const handle = provider.callback()
  const interact = async (request: IncomingMessage, response: ServerResponse, uid: string) => {
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page(issuer, uid))
      return
    }
    const form = await bodyOf(request)
    const [login, amr, acr] = ["login", "amr", "acr"].map((name) => form.get(name) ?? "") as [string, string, string]
    accounts.set(`${issuer} ${login}`, JSON.parse(form.get("claims") || "{}") as Record<string, unknown>)
    await provider.interactionFinished(request, response, {
      login: {
        accountId: login,
        ...(amr === "" ? {} : { amr: amr.split(" ") }),
        ...(acr === "" ? {} : { acr })
      }
    })
  }
  server.on("request", (request, response) => {
    const uid = /^\/interaction\/([\w-]+)(\/login)?$/.exec(request.url ?? "")?.[1]
    const answered = uid === undefined ? handle(request, response) : interact(request, response, uid)
    Promise.resolve(answered).catch((cause: unknown) => response.writeHead(500).end(String(cause)))
  })
  return issuer
}

const issuers = await Promise.all([open(clients), open(clients)])
process.on("message", ({ issuer, lie }: { readonly issuer: string; readonly lie: Lie }) => {
  lies.set(issuer, lie)
  process.send?.({ done: true })
})
process.send?.({ issuers })
