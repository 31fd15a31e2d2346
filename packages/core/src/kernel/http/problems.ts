/**
 * Failures as problem documents (RFC 9457). Every domain error has one place here; anything unknown is a 500 without a detail.
 */
import * as Schema from "effect/Schema"
import { mask } from "../mask.ts"
import type { Erased } from "../Erased.ts"

export const Problem = Schema.Struct({
  /** A URN that programs compare: `urn:mahalla:problem:not-found`. */
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  /** For people, with the next step. */
  detail: Schema.optionalKey(Schema.String),
  requestId: Schema.String,
  /** Fields that are not as they must be. */
  errors: Schema.optionalKey(Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.String }))),
  /** Details of this kind of problem, for programs. */
  code: Schema.optionalKey(Schema.String),
  possible: Schema.optionalKey(Schema.Array(Schema.String))
}).annotate({ identifier: "Problem", description: "Problem document (RFC 9457)" })
export type Problem = typeof Problem.Type

export interface ProblemAnswer {
  readonly status: number
  readonly body: Omit<Problem, "requestId">
  readonly headers?: Readonly<Record<string, string>>
}

const titles: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Sign in",
  403: "Not allowed",
  404: "Not found",
  405: "Method not allowed",
  408: "Too slow",
  409: "Conflict",
  410: "Gone",
  412: "Changed in between",
  413: "Too large",
  414: "Address too long",
  415: "Unsupported media type",
  416: "Range not satisfiable",
  422: "Cannot be processed",
  426: "Upgrade required",
  429: "Too many requests",
  431: "Headers too large",
  500: "Internal error",
  501: "Not available here",
  503: "Try again later"
}

export const problem = (
  status: number,
  kind: string,
  detail?: string,
  more: Partial<Omit<Problem, "type" | "status" | "title" | "requestId">> = {},
  headers: Readonly<Record<string, string>> = {}
): ProblemAnswer => ({
  status,
  headers,
  body: {
    type: `urn:mahalla:problem:${kind}`,
    title: titles[status] ?? "Problem",
    status,
    ...(detail === undefined ? {} : { detail }),
    ...more
  }
})

type Mapper = (error: Erased) => ProblemAnswer

/** By the error's `_tag`. Modules add theirs with `registerProblems`. */
const mappers = new Map<string, Mapper>([
  ["NotFound", (error) => problem(404, "not-found", error.message)],
  ["Forbidden", (error) => problem(403, "forbidden", error.message, { code: error.permission })],
  [
    "Unauthorized",
    (error) => problem(401, "unauthorized", error.message, {}, { "www-authenticate": 'Bearer realm="mahalla"' })
  ],
  ["PlatformCodeRefused", (error) => problem(401, "sign-in-refused", error.message)],
  ["SecondFactorRequired", (error) => problem(403, "second-factor-required", error.message, { code: error.step })],
  [
    "InvalidInput",
    (error) => problem(400, "invalid-input", "Some fields are not as they must be.", { errors: error.issues })
  ],
  [
    "WrongState",
    (error) => problem(409, "wrong-state", error.message, { code: error.state, possible: error.possible })
  ],
  ["VersionConflict", (error) => problem(412, "version-conflict", error.message)],
  ["Refused", (error) => problem(422, "refused", error.message, { code: error.code })],
  ["RoleInUse", (error) => problem(409, "role-in-use", error.message)],
  // Nothing is wrong with the request; it will be answered again.
  ["Suspended", (error) => problem(503, "suspended", error.message, {}, { "retry-after": "3600" })],
  ["Claimed", (error) => problem(409, "claimed", error.message)],
  ["IdempotencyConflict", (error) => problem(422, "idempotency-key-reused", error.message)],
  ["IdempotencyInProgress", (error) => problem(409, "in-progress", error.message, {}, { "retry-after": "1" })],
  [
    "TooManyRequests",
    (error) => problem(429, "too-many-requests", error.message, {}, { "retry-after": String(error.retryAfter ?? 1) })
  ]
])

/** Adds a module's own errors. */
export const registerProblems = (entries: Readonly<Record<string, Mapper>>): void => {
  for (const [tag, mapper] of Object.entries(entries)) mappers.set(tag, mapper)
}

const connectionTrouble = new Set([
  "ConnectionError",
  "AuthenticationError",
  "LockTimeoutError",
  "StatementTimeoutError",
  "DeadlockError"
])

/** The problem that a failure is, or undefined when it is a fault of ours. */
export const problemOf = (error: unknown): ProblemAnswer | undefined => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return undefined
  const tag = String(error._tag)
  if (tag === "SqlError") {
    const reason = (error as { reason?: { _tag?: string; cause?: { sqlstate?: string; code?: string } } }).reason
    // 53…: full. 57P0…: shutting down, crashed, or not up again yet, which the driver does not count among the lost connections.
    const away = /^(53\d\d\d|57P0\d)$/.test(String(reason?.cause?.code ?? ""))
    return connectionTrouble.has(reason?._tag ?? "") || away
      ? problem(
          503,
          "storage-unavailable",
          // A connection lost at the commit leaves open whether it took place.
          "The database does not answer at the moment. Try again; with the same Idempotency-Key nothing is done twice.",
          {},
          { "retry-after": "2" }
        )
      : undefined
  }
  const mapper = mappers.get(tag)
  if (mapper !== undefined) return mapper(error)
  // Errors of ports: what is retryable is a matter of time.
  const port = error as { retryable?: boolean; reason?: string; message?: string }
  if (port.retryable === true)
    return problem(
      503,
      "unavailable",
      port.message === undefined ? undefined : mask(port.message),
      {},
      { "retry-after": "5" }
    )
  return undefined
}
