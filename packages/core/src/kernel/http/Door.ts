/**
 * What every endpoint stands behind: the tenant of the request, who asks, and problems instead of failures.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { issuesOf } from "../cases/schema.ts"
import { withTenant } from "../db/Database.ts"
import type { Database, TenantTx } from "../db/Database.ts"
import { Actor } from "../policy/Principal.ts"
import type { Tenant } from "../tenancy/Tenant.ts"
import { Authentication } from "./Authentication.ts"
import { type ProblemAnswer, problem, problemOf } from "./problems.ts"

/** Facts about the running request. */
export class RequestInfo extends Context.Service<
  RequestInfo,
  {
    /** Named in every answer and log line. */
    readonly id: string
    /** The client's address, behind the trusted proxies. */
    readonly ip: string
    readonly tenant: Tenant
  }
>()("@mahalla/kernel/RequestInfo") {}

export const problemResponse = (answer: ProblemAnswer, requestId: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(
    { ...answer.body, requestId },
    {
      status: answer.status,
      contentType: "application/problem+json",
      headers: { ...answer.headers, "x-request-id": requestId }
    }
  )

/** Failures and defects as answers; an interruption stays one. */
export const answerProblems =
  (requestId: string) =>
  <E, R>(
    self: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
    Effect.catchCause(self, (cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      const error = Cause.squash(cause)
      const known = schemaProblem(error) ?? problemOf(error)
      if (known !== undefined && known.status < 500) return Effect.succeed(problemResponse(known, requestId))
      return Effect.logError(`Request ${requestId} failed`, cause).pipe(
        Effect.as(
          problemResponse(
            known ??
              problem(
                500,
                "internal",
                `Something went wrong on our side. Tell the operator this number: ${requestId}.`
              ),
            requestId
          )
        )
      )
    })

const slots: Readonly<Record<string, string>> = { Payload: "", Params: "#params", Query: "#query", Headers: "#headers" }

const schemaProblem = (error: unknown): ProblemAnswer | undefined => {
  if (HttpApiError.HttpApiPayloadTooLarge.is(error))
    return problem(413, "too-large", "The body is larger than this address takes.")
  if (!HttpApiError.HttpApiSchemaError.is(error)) return undefined
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return undefined
  return problem(400, "invalid-input", "Some fields are not as they must be.", {
    errors: issuesOf(error.cause as never, slots[error.kind] ?? "").slice(0, 50)
  })
}

/** The middleware of every API group: `HttpApiGroup.make("…").middleware(Door)`. */
export class Door extends HttpApiMiddleware.Service<Door, { provides: Actor | RequestInfo; requires: never }>()(
  "@mahalla/kernel/Door"
) {
  static readonly layer = Layer.effect(
    Door,
    Effect.gen(function* () {
      const authentication = yield* Authentication
      return Door.of((handle) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const info = yield* RequestFacts
          return yield* authentication.actorOf(request, info).pipe(
            Effect.flatMap(({ actor, tenant }) =>
              handle.pipe(
                Effect.provideService(Actor, actor),
                Effect.provideService(RequestInfo, { id: info.id, ip: info.ip, tenant })
              )
            ),
            answerProblems(info.id)
          )
        })
      )
    })
  )
}

/** What the outermost handler knows of each request. */
export interface Facts {
  readonly id: string
  readonly ip: string
  /** Host name without the port, lower case. */
  readonly host: string
  /** From a path that began with `/t/{slug}`. */
  readonly slug: string | null
}

export class RequestFacts extends Context.Reference<Facts>("@mahalla/kernel/RequestFacts", {
  defaultValue: () => ({ id: "none", ip: "", host: "", slug: null })
}) {}

/**
 * Runs a handler in one transaction of the actor's tenant. Its failures become problems in `Door`, so the handler's type has none.
 */
export const inTenant = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, never, Exclude<R, TenantTx> | Actor | Database> =>
  Effect.flatMap(Actor, (actor) => withTenant(actor.tenantId)(self)) as Effect.Effect<
    A,
    never,
    Exclude<R, TenantTx> | Actor | Database
  >

/** A handler whose failures become problems in `Door`, without a transaction of its own. */
export const answering = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  self as Effect.Effect<A, never, R>
