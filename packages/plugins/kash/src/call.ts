/**
 * One request to the gateway, told apart by what it may have caused: `unsent` (nothing left for it), `silent` (something may have, and no
 * whole answer came) or an answer with its status.
 */
import type { HostOutward, OutwardError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { KashConfig } from "./config.ts"

export type Reply =
  | {
      readonly type: "answer"
      readonly status: number
      /** Undefined where it is no JSON. */
      readonly body: unknown
      /** Seconds. */
      readonly retryAfter: number | undefined
    }
  | { readonly type: "unsent"; readonly forbidden: boolean; readonly cause: OutwardError }
  | { readonly type: "silent" }

/** What the operating system says when no connection came about. */
const unconnected = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"])

const lost = (error: OutwardError): Reply => {
  const code = (error.cause as { readonly code?: unknown } | undefined)?.code
  if (error.reason === "Unanswered" && !(typeof code === "string" && unconnected.has(code))) return { type: "silent" }
  return { type: "unsent", forbidden: error.reason === "Forbidden", cause: error }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const makeCall = ({ key, timeout, url }: KashConfig, outward: HostOutward["Service"]) => {
  const base = url.replace(/\/+$/, "")
  return (path: string, body: unknown): Effect.Effect<Reply> =>
    outward
      .post({
        url: base + path,
        body: JSON.stringify(body),
        headers: {
          authorization: `Bearer ${Redacted.value(key)}`,
          "content-type": "application/json",
          accept: "application/json"
        },
        seconds: timeout / 1_000
      })
      .pipe(
        Effect.map((answer): Reply => ({
          type: "answer",
          status: answer.status,
          body: parsed(answer.body),
          retryAfter: answer.retryAfter
        })),
        Effect.catch((error) => Effect.succeed(lost(error)))
      )
}
