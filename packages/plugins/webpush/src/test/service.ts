/**
 * A push service with the browsers behind it, as a process: takes messages as RFC 8030 has it, checks who sends (RFC 8292), keeps one
 * message per Topic until the browser fetches it, and decrypts as the browser would (RFC 8291).
 */
import { createDecipheriv, createECDH, type ECDH, hkdfSync, randomBytes, randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { importJWK, jwtVerify } from "jose"

interface Browser {
  readonly keys: ECDH
  readonly auth: Buffer
  readonly messages: Map<string, object>
  gone: boolean
}

const browsers = new Map<string, Browser>()
const faults: Array<string> = []

const decrypt = ({ auth, keys }: Browser, body: Buffer): string => {
  const [salt, keyLength] = [body.subarray(0, 16), body.readUInt8(20)]
  const theirs = body.subarray(21, 21 + keyLength)
  const hkdf = (key: Buffer, with_: Buffer, info: Buffer, length: number) =>
    Buffer.from(hkdfSync("sha256", key, with_, info, length))
  const secret = keys.computeSecret(theirs)
  const key = hkdf(secret, auth, Buffer.concat([Buffer.from("WebPush: info\0"), keys.getPublicKey(), theirs]), 32)
  const content = hkdf(key, salt, Buffer.from("Content-Encoding: aes128gcm\0"), 16)
  const nonce = hkdf(key, salt, Buffer.from("Content-Encoding: nonce\0"), 12)
  const sealed = body.subarray(21 + keyLength)
  const decipher = createDecipheriv("aes-128-gcm", content, nonce)
  decipher.setAuthTag(sealed.subarray(-16))
  const plain = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
  // The last record ends with 2 and zeros.
  return plain.subarray(0, plain.lastIndexOf(2)).toString("utf8")
}

const verify = async (header: string | undefined, origin: string) => {
  const [, token = "", key = ""] = /^vapid t=([^,]+), ?k=([\w-]+)$/.exec(header ?? "") ?? []
  const raw = Buffer.from(key, "base64url")
  const part = (from: number) => raw.subarray(from, from + 32).toString("base64url")
  const jwk = await importJWK({ kty: "EC", crv: "P-256", x: part(1), y: part(33) }, "ES256")
  const { payload } = await jwtVerify(token, jwk, { audience: origin })
  if ((payload.exp ?? 0) > Date.now() / 1_000 + 86_400) throw new Error("too long")
  return { subject: payload.sub, key }
}

const read = async (request: IncomingMessage) => {
  const parts: Array<Buffer> = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts)
}

const subscribe = (name: string) => {
  const keys = createECDH("prime256v1")
  keys.generateKeys()
  const browser: Browser = { keys, auth: randomBytes(16), messages: new Map(), gone: false }
  browsers.set(name, browser)
  return { p256dh: keys.getPublicKey().toString("base64url"), auth: browser.auth.toString("base64url") }
}

const push = async (name: string, request: IncomingMessage, response: ServerResponse) => {
  const body = await read(request)
  const browser = browsers.get(name)
  const fault = faults.shift()
  const end = (status: number, headers: Record<string, string> = {}) => response.writeHead(status, headers).end()
  if (fault === "rate-limited") return end(429, { "retry-after": "7" })
  if (fault === "unavailable") return end(503)
  if (fault === "too-large" || body.length > 4_096) return end(413)
  if (fault === "redirect") return end(307, { location: "http://127.0.0.1:1/" })
  if (fault === "lost-before") return void request.socket.destroy()
  if (browser === undefined || browser.gone || fault === "refused") return end(410)
  const { authorization, topic = randomUUID(), ttl, urgency, "content-encoding": coding } = request.headers
  const sender = await verify(authorization, `http://${request.headers.host}`).catch(() => undefined)
  if (sender === undefined) return end(403)
  if (coding !== "aes128gcm" || !/^\d+$/.test(String(ttl))) return end(400)
  const said = JSON.parse(decrypt(browser, body)) as object
  browser.messages.delete(String(topic))
  browser.messages.set(String(topic), {
    ...said,
    ttl: Number(ttl),
    urgency,
    topic,
    subject: sender.subject,
    size: body.length
  })
  if (fault === "lost-after") return void request.socket.destroy()
  return end(201, { location: `/message/${randomUUID()}` })
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://push")
  const [, what = "", name = ""] = pathname.split("/")
  const answer = (body: unknown) => response.end(JSON.stringify(body))
  if (what === "push") return void push(name, request, response)
  if (what === "subscribe") return answer(subscribe(name))
  if (what === "messages") return answer([...(browsers.get(name)?.messages.values() ?? [])])
  if (what === "leave") return answer((browsers.get(name)!.gone = true))
  if (what === "fault") return answer(faults.push(name))
  response.writeHead(404).end()
})
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
