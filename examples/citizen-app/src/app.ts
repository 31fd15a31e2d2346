/**
 * An app of a third party: a citizen signs in at the city, ticks what the app may do, and the app reads their reports in their name. It needs
 * nothing of the city's code, only a standard OAuth client.
 */
import { once } from "node:events"
import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as oauth from "oauth4webapi"

export interface Registration {
  /** As the city gave them when the app was registered: `POST /v1/apps`. */
  readonly issuer: string
  readonly resource: string
  readonly id: string
  readonly clientSecret: string
}

/** A sign-in under way: what was sent out, to compare with what comes back. */
interface Begun {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
}

export interface CitizenApp {
  readonly url: string
  readonly close: () => Promise<void>
}

/** Starts the app. The city must know `http://127.0.0.1:{port}/callback` as its redirect address. */
export const startCitizenApp = async (registration: Registration, port = 0): Promise<CitizenApp> => {
  const issuer = new URL(registration.issuer)
  const options = { [oauth.allowInsecureRequests]: issuer.hostname === "localhost" || issuer.hostname === "127.0.0.1" }
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options))
  const client: oauth.Client = { client_id: registration.id }
  const secret = oauth.ClientSecretBasic(registration.clientSecret)
  const begun = new Map<string, Begun>()
  let callback = ""

  const signIn = async (response: ServerResponse) => {
    const [verifier, state, nonce, session] = [
      oauth.generateRandomCodeVerifier(),
      oauth.generateRandomState(),
      oauth.generateRandomNonce(),
      randomUUID()
    ]
    begun.set(session, { state, nonce, verifier })
    const url = new URL(server.authorization_endpoint!)
    url.search = new URLSearchParams({
      client_id: registration.id,
      redirect_uri: callback,
      response_type: "code",
      scope: "openid cases.read",
      resource: registration.resource,
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256"
    }).toString()
    response.writeHead(303, { location: url.href, "set-cookie": `session=${session}; HttpOnly; SameSite=Lax; Path=/` })
    response.end()
  }

  const comeBack = async (request: IncomingMessage, response: ServerResponse) => {
    const session = /session=([0-9a-f-]+)/.exec(request.headers.cookie ?? "")?.[1] ?? ""
    const sent = begun.get(session)
    begun.delete(session)
    if (sent === undefined) return void response.writeHead(400).end("Begin at /")
    const answer = oauth.validateAuthResponse(server, client, new URL(request.url ?? "", callback), sent.state)
    const tokens = await oauth.processAuthorizationCodeResponse(
      server,
      client,
      await oauth.authorizationCodeGrantRequest(server, client, secret, answer, callback, sent.verifier, {
        ...options,
        // Without this the token is for the provider's userinfo only.
        additionalParameters: { resource: registration.resource }
      }),
      { expectedNonce: sent.nonce }
    )
    const cases = await fetch(`${registration.resource}/cases?owner=me`, {
      headers: { authorization: `Bearer ${tokens.access_token}` }
    })
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify({ citizen: oauth.getValidatedIdTokenClaims(tokens)?.sub, ...(await cases.json()) }))
  }

  const http = createServer((request, response) => {
    const handled = (request.url ?? "").startsWith("/callback") ? comeBack(request, response) : signIn(response)
    handled.catch((cause: unknown) => {
      // A refusal of the citizen's comes here too: `AuthorizationResponseError` with `error` access_denied.
      response.writeHead(502).end(cause instanceof Error ? cause.message : "failed")
    })
  })
  await once(http.listen(port, "127.0.0.1"), "listening")
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  callback = `${url}/callback`
  return {
    url,
    close: async () => {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    }
  }
}
