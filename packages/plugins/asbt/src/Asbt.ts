/**
 * The client of the authority. Only an answer that it has signed, for this very request and about this very number, counts; anything else
 * is no answer. No error repeats the plate, nor what the authority said.
 */
import {
  Authority,
  AuthorityError,
  type AuthorityReason,
  filingMistake,
  type FilingOutcome,
  type HostOutward,
  type OutwardAnswer,
  type OutwardError
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { isSame, signAnswer, signed, signRequest } from "./signing.ts"
import { filingBody, kinds, paths, readError, readStatus, readTaken, statusBody } from "./wire.ts"

/** Where the authority is, and what both sides sign with. */
export interface Endpoint {
  readonly url: string
  readonly secret: string
}

export interface AsbtOptions {
  readonly client: string
  /** Milliseconds after which an answer counts as lost. */
  readonly timeout: number
  readonly outward: HostOutward["Service"]
  readonly endpoint: Effect.Effect<Endpoint, AuthorityError>
  /** Networks of what the plugin has started itself. */
  readonly own: ReadonlyArray<string>
  /** What the authority calls when something has changed; undefined where the city has no public address. */
  readonly callback: string | undefined
  readonly notices: Stream.Stream<string>
}

/** `heard`: signed for this request. `silent`: nobody knows whether it arrived, or who answered. */
type Reply =
  | { readonly type: "heard"; readonly answer: OutwardAnswer }
  | { readonly type: "silent"; readonly message: string }
  | { readonly type: "unsent"; readonly reason: "Unavailable" | "Unauthorized"; readonly message: string }

const advice: Record<AuthorityReason, string> = {
  InvalidRequest: "Correct it and file it under a new number.",
  Unauthorized: "Check url, client and secret in the configuration, and outwardNetworks of the city.",
  Unavailable: "Try again later.",
  RateLimited: "Try again later."
}

const failure = (reason: AuthorityReason, operation: string, subject: string, what: string) =>
  new AuthorityError({
    reason,
    operation,
    subject,
    message: `${what} ${advice[reason]}`,
    retryable: reason === "Unavailable" || reason === "RateLimited"
  })

/** The connection was refused: no byte left us. */
const refusedCodes = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"])
const neverSent = ({ cause }: OutwardError) => refusedCodes.has(String((cause as { code?: unknown } | undefined)?.code))

const replyOf = (error: OutwardError): Reply => {
  if (error.reason === "Forbidden")
    return { type: "unsent", reason: "Unauthorized", message: "The authority's address may not be reached." }
  return error.reason === "Unresolved" || neverSent(error)
    ? { type: "unsent", reason: "Unavailable", message: "The authority is not there." }
    : { type: "silent", message: "The authority's answer was lost." }
}

export const makeAsbt = (options: AsbtOptions) => {
  const { callback, client, endpoint, notices, outward, own, timeout } = options

  const ask = Effect.fnUntraced(function* (path: string, body: string): Effect.fn.Return<Reply, AuthorityError> {
    const { secret, url } = yield* endpoint
    const timestamp = String(Math.floor((yield* Clock.currentTimeMillis) / 1_000))
    const signature = signRequest(secret, timestamp, path, body)
    const request = {
      url: `${url}${path}`,
      body,
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        [signed.client]: client,
        [signed.timestamp]: timestamp,
        [signed.signature]: signature
      },
      seconds: timeout / 1_000
    }
    return yield* outward.post(request, own).pipe(
      Effect.map((answer): Reply => {
        const expected = signAnswer(secret, signature, answer.status, answer.body)
        if (isSame(expected, answer.headers[signed.signature])) return { type: "heard", answer }
        // Whoever does not know us cannot sign for us; it has done nothing either.
        return answer.status === 401 || answer.status === 403
          ? { type: "unsent", reason: "Unauthorized", message: "The authority does not know us." }
          : { type: "silent", message: `Something answered with status ${answer.status} that is not the authority.` }
      }),
      Effect.catchTag("OutwardError", (error) => Effect.succeed(replyOf(error)))
    )
  })

  /** An answer that the protocol calls "not looked at" or "cannot be", if it is one. */
  const refusalOf = (operation: string, number: string, { body, status }: OutwardAnswer) => {
    const code = readError(number, body)
    if (code === undefined) return undefined
    const fail = (reason: AuthorityReason, what: string) => failure(reason, operation, number, what)
    if (status === 429) return fail("RateLimited", "The authority wants a pause.")
    if (status === 401 || status === 403) return fail("Unauthorized", "The authority does not know us.")
    if (status === 503) return fail("Unavailable", "The authority is closed for the moment.")
    if (status === 400 && code === "invalid") return fail("InvalidRequest", "The authority cannot read the filing.")
    if (status === 409 && code === "number-reused")
      return fail("InvalidRequest", "This number stands for another filing.")
    return undefined
  }

  const file: Authority["Service"]["file"] = Effect.fn("Authority.file")(function* (filing) {
    const { number } = filing
    const wrong = filingMistake(filing, kinds)
    if (wrong !== undefined) return yield* failure("InvalidRequest", "file", number, wrong)
    const reply = yield* ask(paths.file, filingBody(filing, callback))
    if (reply.type === "unsent") return yield* failure(reply.reason, "file", number, reply.message)
    if (reply.type === "silent") return { state: "unknown", message: reply.message } satisfies FilingOutcome
    const { answer } = reply
    const outcome = answer.status === 200 ? readTaken(number, answer.body) : undefined
    if (outcome !== undefined) return outcome
    const refusal = refusalOf("file", number, answer)
    if (refusal !== undefined) return yield* refusal
    return { state: "unknown", message: "The authority's answer could not be read." } satisfies FilingOutcome
  })

  const status: Authority["Service"]["status"] = Effect.fn("Authority.status")(function* (number) {
    const reply = yield* ask(paths.status, statusBody(number))
    if (reply.type !== "heard")
      return yield* failure(reply.type === "unsent" ? reply.reason : "Unavailable", "status", number, reply.message)
    const { answer } = reply
    const said = answer.status === 200 ? readStatus(number, answer.body) : undefined
    if (said !== undefined) return said
    // It may still be on its way: the contract calls no number finally unknown.
    if (answer.status === 404 && readError(number, answer.body) === "not-found")
      return { state: "not-found", final: false } as const
    return yield* (
      refusalOf("status", number, answer) ??
      failure("Unavailable", "status", number, "The authority's answer could not be read.")
    )
  })

  /** Whether it answers us now; undefined: it does. */
  const trouble: Effect.Effect<string | undefined> = ask(paths.ping, "{}").pipe(
    Effect.map((reply) =>
      reply.type === "heard"
        ? reply.answer.status === 200
          ? undefined
          : `It answers with status ${reply.answer.status}.`
        : reply.message
    ),
    Effect.catch((error) => Effect.succeed(error.message))
  )

  return { authority: Authority.of({ kinds, file, status, notices }), trouble }
}
