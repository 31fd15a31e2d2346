/**
 * One call of the gateway (JSON-RPC 2.0 with HTTP Basic), told apart by what it may have caused: `unsent` (nothing left for it), `silent`
 * (something may have, and no whole answer came), an HTTP status that says enough, an error or a result with this call's id, or an answer that
 * cannot be read.
 */
import type { HostOutward, OutwardAnswer, OutwardError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { UzcardConfig } from "./config.ts"

export type Reply<Result> =
  | { readonly type: "result"; readonly result: Result }
  | { readonly type: "error"; readonly code: number }
  | { readonly type: "status"; readonly status: 401 | 403 | 429; readonly retryAfter: number }
  | { readonly type: "unsent"; readonly forbidden: boolean; readonly cause: OutwardError }
  | { readonly type: "silent" }
  | { readonly type: "unreadable" }

/** What the operating system says when no connection came about. */
const unconnected = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"])

const lost = (error: OutwardError): Reply<never> => {
  const code = (error.cause as { readonly code?: unknown } | undefined)?.code
  if (error.reason === "Unanswered" && !(typeof code === "string" && unconnected.has(code))) return { type: "silent" }
  return { type: "unsent", forbidden: error.reason === "Forbidden", cause: error }
}

const Envelope = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ id: Schema.String, error: Schema.Struct({ code: Schema.Int }) }),
    Schema.Struct({ id: Schema.String, result: Schema.Unknown })
  ])
)
const decodeEnvelope = Schema.decodeUnknownOption(Envelope)

const read = <Result>(id: string, result: Schema.Codec<Result, unknown>, answer: OutwardAnswer): Reply<Result> => {
  const { retryAfter = 1, status } = answer
  if (status === 401 || status === 403 || status === 429) return { type: "status", status, retryAfter }
  const envelope = Option.getOrUndefined(decodeEnvelope(answer.body))
  if (envelope?.id !== id) return { type: "unreadable" }
  if ("error" in envelope) return { type: "error", code: envelope.error.code }
  const decoded = status === 200 ? Schema.decodeUnknownOption(result)(envelope.result) : Option.none()
  return Option.isSome(decoded) ? { type: "result", result: decoded.value } : { type: "unreadable" }
}

/** `id`: of the call, repeated in its answer. The same for the same question, so that a resend is the same bytes. */
export const makeCall = ({ password, timeout, url, user }: UzcardConfig, outward: HostOutward["Service"]) => {
  const authorization = `Basic ${Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64")}`
  return <Params extends ReadonlyArray<unknown>, Result>(
    id: string,
    {
      method,
      params,
      result
    }: {
      readonly method: string
      readonly params: (...params: Params) => unknown
      readonly result: Schema.Codec<Result, unknown>
    },
    ...given: Params
  ): Effect.Effect<Reply<Result>> =>
    outward
      .post({
        url,
        body: JSON.stringify({ jsonrpc: "2.0", id, method, params: params(...given) }),
        headers: { authorization, "content-type": "application/json", accept: "application/json" },
        seconds: timeout / 1_000
      })
      .pipe(
        Effect.map((answer) => read(id, result, answer)),
        Effect.catch((error) => Effect.succeed(lost(error)))
      )
}
