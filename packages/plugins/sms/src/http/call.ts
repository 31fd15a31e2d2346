/**
 * One request to a provider, told apart by what it may have caused: `unsent` (nothing left), `silent` (it may have been taken, and no whole
 * answer came) or an answer.
 */
import { type HostOutward, type OutwardRequest } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"

export type Reply =
  | {
      readonly type: "answer"
      readonly status: number
      readonly text: string
      /** Undefined where the text is no JSON. */
      readonly json: unknown
    }
  | { readonly type: "unsent"; readonly message: string }
  | { readonly type: "silent"; readonly message: string }

const unsentCodes = new Set(["ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH"])

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const call = (outward: HostOutward["Service"], request: OutwardRequest): Effect.Effect<Reply> =>
  outward.post(request).pipe(
    Effect.map(({ body, status }): Reply => ({ type: "answer", status, text: body, json: parsed(body) })),
    Effect.catch(({ cause, message, reason }) => {
      const { code } = (cause ?? {}) as { readonly code?: string }
      const unsent = reason !== "Unanswered" || unsentCodes.has(code ?? "")
      return Effect.succeed<Reply>({ type: unsent ? "unsent" : "silent", message })
    })
  )
