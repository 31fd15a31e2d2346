/**
 * Google's two places as a process: access tokens for a signed assertion, and FCM with the phones behind it, which show one notification
 * per tag.
 */
import { generateKeyPairSync } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { jwtVerify } from "jose"

interface Asked {
  readonly message: {
    readonly token: string
    readonly notification: { readonly title?: string; readonly body: string }
    readonly data: { readonly id: string }
    readonly android: { readonly ttl: string; readonly notification: { readonly tag: string } }
  }
}

const keys = generateKeyPairSync("rsa", { modulusLength: 2_048 })
const phones = new Map<string, Map<string, Asked["message"]>>()
const faults: Array<string> = []
let valid = 1
let given = 0

const read = async (request: IncomingMessage) => {
  const parts: Array<Buffer> = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts).toString("utf8")
}

const send = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) =>
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

const wrong = (
  response: ServerResponse,
  code: number,
  status: string,
  errorCode?: string,
  headers?: Record<string, string>
) => {
  const type = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
  const details = errorCode === undefined ? {} : { details: [{ "@type": type, errorCode }] }
  send(response, code, { error: { code, status, message: "…", ...details } }, headers)
}

const token = async (request: IncomingMessage, response: ServerResponse) => {
  const form = new URLSearchParams(await read(request))
  if (faults[0] === "no-token") return void (faults.shift(), send(response, 500, {}))
  const audience = `http://${request.headers.host}/token`
  const verified = await jwtVerify(form.get("assertion") ?? "", keys.publicKey, {
    audience,
    issuer: "city@project.example",
    algorithms: ["RS256"]
  }).catch(() => undefined)
  const scoped = verified?.payload["scope"] === "https://www.googleapis.com/auth/firebase.messaging"
  if (!scoped || form.get("grant_type") !== "urn:ietf:params:oauth:grant-type:jwt-bearer")
    return send(response, 400, { error: "invalid_grant" })
  given++
  return send(response, 200, { access_token: `token-${valid}`, expires_in: 3_599, token_type: "Bearer" })
}

const push = async (request: IncomingMessage, response: ServerResponse) => {
  const { message } = JSON.parse(await read(request)) as Asked
  if (request.headers.authorization !== `Bearer token-${valid}`) return wrong(response, 401, "UNAUTHENTICATED")
  const fault = faults.shift()
  if (fault === "rate-limited")
    return wrong(response, 429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", { "retry-after": "60" })
  if (fault === "unavailable") return wrong(response, 503, "UNAVAILABLE", "UNAVAILABLE")
  if (fault === "refused") return wrong(response, 404, "NOT_FOUND", "UNREGISTERED")
  if (fault === "mismatch") return wrong(response, 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")
  if (fault === "apns") return wrong(response, 401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")
  if (fault === "invalid") return wrong(response, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
  if (fault === "internal") return wrong(response, 500, "INTERNAL", "INTERNAL")
  if (fault === "html") return response.writeHead(502).end("<html></html>")
  if (fault === "lost-before") return void request.socket.destroy()
  const kept = phones.get(message.token) ?? new Map<string, Asked["message"]>()
  phones.set(message.token, kept)
  kept.set(message.android.notification.tag, message)
  if (fault === "lost-after") return void request.socket.destroy()
  return send(response, 200, { name: `projects/city/messages/0:${message.data.id}` })
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://google")
  if (pathname === "/token") return void token(request, response)
  if (pathname === "/v1/projects/city/messages:send") return void push(request, response)
  if (pathname === "/messages")
    return void send(response, 200, [...(phones.get(searchParams.get("to") ?? "")?.values() ?? [])])
  if (pathname === "/fault") return void send(response, 200, faults.push(searchParams.get("name") ?? ""))
  if (pathname === "/expire") return void send(response, 200, ++valid)
  if (pathname === "/given") return void send(response, 200, given)
  return void response.writeHead(404).end()
})
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo
  const key = keys.privateKey.export({ type: "pkcs8", format: "pem" })
  process.stdout.write(`${JSON.stringify({ port, key })}\n`)
})
