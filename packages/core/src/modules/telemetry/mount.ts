/**
 * Readings over HTTP, answered when they are committed. The addresses and bodies of ThingsBoard's device API, our own, and the webhooks of ChirpStack
 * and The Things Stack. A device shows its token in the path or as `Authorization: Bearer`; a network server the token of its gateway.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { issuesOf } from "../../kernel/cases/schema.ts"
import type { Database } from "../../kernel/db/Database.ts"
import { gathering } from "../../kernel/db/gathering.ts"
import { readNodeBody } from "../../kernel/http/nodeBody.ts"
import { type ProblemAnswer, problem, problemOf } from "../../kernel/http/problems.ts"
import { takeByAddress } from "../../kernel/limits/address.ts"
import type { MountFacts } from "../../kernel/module/defineModule.ts"
import { tenantOfRequest } from "../../kernel/tenancy/resolve.ts"
import type { Limiter } from "../../ports/Limiter.ts"
import type { DeviceSession, IngestMessage, IngestOutcome, PayloadFormat } from "../../ports/DeviceIngest.ts"
import { DeviceIngestError } from "../../ports/DeviceIngest.ts"
import type { Policy } from "../../kernel/policy/Policy.ts"
import { provision } from "./provisioning.ts"
import { authenticate } from "./authenticate.ts"
import { sha256 } from "./credentials.ts"
import { Intake, maxBatch } from "./Intake.ts"
import { maxPayload } from "./Host.ts"

interface Route {
  readonly format: PayloadFormat
  /** From the path. */
  readonly token: string | undefined
}

const things = /^\/api\/v1\/(?:([\x21-\x2e\x30-\x7e]{1,200})\/)?(telemetry|attributes)$/

/** Formats by the last part of our own addresses; `readings` goes by the body's media type. */
const own: Readonly<Record<string, PayloadFormat>> = {
  "/ingest/readings": "profile",
  "/ingest/attributes": "attributes",
  "/ingest/gateway": "gateway-json",
  "/ingest/chirpstack": "chirpstack",
  "/ingest/things-stack": "things-stack"
}

/** Where devices that have nothing but their fleet's key get a token, as ThingsBoard's do. */
const provisionPath = "/api/v1/provision"

const ProvisionBody = Schema.fromJsonString(
  Schema.Struct({
    deviceName: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$/)),
    provisionDeviceKey: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)),
    provisionDeviceSecret: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
  })
)
const decodeProvision = Schema.decodeUnknownResult(ProvisionBody, { errors: "all", onExcessProperty: "error" })

const byMediaType: ReadonlyMap<string, PayloadFormat> = new Map([
  ["application/json", "json"],
  ["application/senml+json", "senml-json"],
  ["application/senml+cbor", "senml-cbor"]
])

/** As it stands where it is no percent-encoding: then it is nobody's token. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const takes = (path: string): boolean => own[path] !== undefined || path === provisionPath || things.test(path)

const routeOf = (path: string, request: IncomingMessage): Route => {
  const thing = things.exec(path)
  if (thing !== null)
    return {
      token: thing[1] === undefined ? undefined : decoded(thing[1]),
      format: thing[2] === "attributes" ? "attributes" : "json"
    }
  const format = own[path]!
  const type = (request.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase()
  return { token: undefined, format: format === "profile" ? (byMediaType.get(type) ?? "profile") : format }
}

/** Milliseconds that a session of a token is taken for granted; a revoked one is refused after them at the latest. */
const trusted = 5000
const maxSessions = 20_000
/** Bytes of a message that is stored together with others: hundreds of the largest would be one row of half a gigabyte. */
const mostGathered = 16_384

/** Wrong tokens and keys from one address. */
const guesses = {
  what: "device-token",
  amount: 60,
  window: 60,
  message: "Too many wrong tokens from here. Wait a moment."
}

const maxProvision = 4096

/** What is kept of an address: no token, and of a query what ChirpStack says there of the kind of its event. */
const topicOf = (path: string, url: string): string => {
  if (path.startsWith("/api/v1/")) return `/api/v1/${path.split("/").at(-1)}`
  const event = path === "/ingest/chirpstack" ? /[?&](event=[a-z]{1,20})(?:&|$)/.exec(url)?.[1] : undefined
  return event === undefined ? path : `${path}?${event}`
}

const bearer = (request: IncomingMessage): string | undefined =>
  /^bearer ([\x21-\x7e]{1,400})$/i.exec(request.headers.authorization ?? "")?.[1]

const send = (
  response: ServerResponse,
  status: number,
  body: unknown,
  contentType: string,
  headers: Readonly<Record<string, string>> = {}
) => {
  response
    .writeHead(status, { "content-type": contentType, "cache-control": "no-store", ...headers })
    .end(body === undefined ? undefined : JSON.stringify(body))
}

const unauthorized = problem(
  401,
  "unauthorized",
  "This is no token of a device, or not any more. Send it in the path or as Authorization: Bearer.",
  {},
  { "www-authenticate": 'Bearer realm="devices"' }
)

const unread = {
  "too-large": problem(413, "too-large", `A message has at most ${maxPayload} bytes.`),
  late: problem(408, "late", "The body came too slowly."),
  broken: problem(400, "invalid-input", "The body broke off.")
} as const

/** Something may have been stored of a message of which another part was not: the whole is told to be wrong, with what is kept of it. */
const answerOf = (outcome: IngestOutcome): ProblemAnswer | undefined => {
  if (outcome.state === "stored") return undefined
  if (outcome.state === "refused") return problem(403, "forbidden", outcome.reason)
  if (outcome.unlisted === true)
    return problem(
      429,
      "too-many-requests",
      `${outcome.reason} So much cannot be used at the moment that the operator does not see this one. Send it again in a minute.`,
      {},
      { "retry-after": "60" }
    )
  return problem(422, "unusable", `${outcome.reason} The message is kept for the operator; do not send it again.`)
}

const unknownKey = problem(401, "unauthorized", "This key brings no devices here, or not any more. Ask the operator.")

/** A 200 of whatever stands between says nothing of a message; an edge forgets one only where it reads this. */
const ours = { "mahalla-outcome": "stored" }

/** What a request is told where it went well. */
interface Granted {
  readonly granted: object
}

type MountServices = Database | Policy | Intake | Limiter

export const openMount = Effect.gen(function* () {
  const context = yield* Effect.context<MountServices>()
  const { receive } = yield* Intake
  const take = gathering((messages: ReadonlyArray<IngestMessage>) => receive(messages), maxBatch)
  const sessions = new Map<string, { readonly session: DeviceSession; readonly until: number }>()

  const sessionOf = Effect.fnUntraced(function* (token: string, ip: string, tenantId: string | undefined) {
    const key = sha256(token).toString("base64")
    const now = yield* Clock.currentTimeMillis
    const known = sessions.get(key)
    // Also where the clock was set back meanwhile.
    if (known !== undefined && known.until > now && known.until <= now + trusted) return known.session
    const found = yield* Effect.result(authenticate({ kind: "token", token }))
    if (found._tag === "Failure") {
      // Whoever guesses is slowed down; devices behind one address are not, as long as they are known.
      if (found.failure.reason === "Unauthorized" && tenantId !== undefined) yield* takeByAddress(tenantId, ip, guesses)
      return yield* found.failure
    }
    if (sessions.size >= maxSessions) sessions.clear()
    sessions.set(key, { session: found.success.session, until: now + trusted })
    return found.success.session
  })

  const provisioned = Effect.fnUntraced(function* (request: IncomingMessage, ip: string, tenantId: string | undefined) {
    const body = yield* readNodeBody(request, maxProvision, 30_000)
    if (typeof body === "string") return unread[body]
    const read = decodeProvision(new TextDecoder().decode(body))
    if (Result.isFailure(read)) return yield* new InvalidInput({ issues: issuesOf(read.failure) })
    const { deviceName: name, provisionDeviceKey: key, provisionDeviceSecret: secret } = read.success
    const token = yield* provision({ key, secret, name }, tenantId)
    if (token !== undefined)
      return { granted: { status: "SUCCESS", credentialsType: "ACCESS_TOKEN", credentialsValue: token } }
    if (tenantId !== undefined) yield* takeByAddress(tenantId, ip, guesses)
    return unknownKey
  })

  const answer = Effect.fnUntraced(function* (request: IncomingMessage, facts: MountFacts) {
    const path = facts.url.split("?")[0]!
    if (path === provisionPath && request.method === "POST") {
      const tenant = yield* Effect.option(tenantOfRequest({ host: facts.host, slug: facts.slug }))
      return yield* provisioned(request, facts.ip, tenant._tag === "Some" ? tenant.value.tenantId : undefined)
    }
    const { format, token = bearer(request) } = routeOf(path, request)
    if (request.method !== "POST")
      return problem(405, "method-not-allowed", "Readings are sent by POST.", {}, { allow: "POST" })
    if (token === undefined) return unauthorized
    const tenant = yield* Effect.option(tenantOfRequest({ host: facts.host, slug: facts.slug }))
    const session = yield* sessionOf(token, facts.ip, tenant._tag === "Some" ? tenant.value.tenantId : undefined)
    if (tenant._tag === "Some" && tenant.value.tenantId !== session.tenantId) return unauthorized
    const body = yield* readNodeBody(request, maxPayload, 30_000)
    if (typeof body === "string") return unread[body]
    const message: IngestMessage = {
      from: { session },
      topic: topicOf(path, facts.url),
      payload: body,
      format,
      receivedAt: yield* Clock.currentTimeMillis
    }
    const [outcome] = body.length > mostGathered ? yield* receive([message]) : [yield* take(message)]
    return answerOf(outcome!)
  })

  return (request: IncomingMessage, response: ServerResponse, facts: MountFacts): Promise<void> =>
    Effect.runPromise(
      answer(request, facts).pipe(
        Effect.catch((error) =>
          Effect.succeed(
            error instanceof DeviceIngestError && error.reason === "Unauthorized"
              ? unauthorized
              : (problemOf(error) ?? problem(500, "internal", `Tell the operator this number: ${facts.id}.`))
          )
        ),
        Effect.map((refused: ProblemAnswer | Granted | undefined) => {
          if (refused === undefined) send(response, 200, undefined, "application/json", ours)
          else if ("granted" in refused) send(response, 200, refused.granted, "application/json")
          else
            send(
              response,
              refused.status,
              { ...refused.body, requestId: facts.id },
              "application/problem+json",
              refused.headers
            )
        }),
        Effect.provideContext(context)
      )
    )
})
