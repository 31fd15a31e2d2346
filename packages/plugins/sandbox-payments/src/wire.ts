/**
 * One HTTP call to the rail, told apart by what it may have caused: `unsent` (no byte left this machine), `silent` (bytes may have
 * left, and no whole answer came) or an answer with its status.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export type Reply =
  | { readonly type: "answer"; readonly status: number; readonly retryAfter?: string; readonly body: unknown }
  | { readonly type: "unsent"; readonly cause: unknown }
  | { readonly type: "silent"; readonly cause: unknown }

const maxAnswer = 64 * 1024
const unsentCodes = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"])

/** `fetch` wraps the socket's error; a refused connection to several addresses is an AggregateError with the same code. */
export const neverSent = (error: unknown): boolean => {
  const cause = error instanceof Error ? (error.cause as { readonly code?: unknown } | undefined) : undefined
  return typeof cause?.code === "string" && unsentCodes.has(cause.code)
}

const readAnswer = async (response: Response): Promise<unknown> => {
  const parts: Array<Uint8Array> = []
  let size = 0
  for await (const part of response.body ?? []) {
    size += part.length
    if (size > maxAnswer) throw new Error(`The answer is longer than ${maxAnswer} bytes.`)
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"))
  } catch {
    return undefined
  }
}

/** Never fails; a body that is no JSON is `undefined`. `timeout` in milliseconds, for the whole of it. */
export const call = (
  url: string,
  options: { readonly method: "GET" | "PUT" | "POST"; readonly body?: unknown; readonly timeout: number }
): Effect.Effect<Reply> =>
  Effect.tryPromise({
    try: async (signal): Promise<Reply> => {
      const response = await fetch(url, {
        method: options.method,
        redirect: "error",
        signal,
        ...(options.body === undefined
          ? {}
          : { body: JSON.stringify(options.body), headers: { "content-type": "application/json" } })
      })
      const retryAfter = response.headers.get("retry-after")
      const body = await readAnswer(response)
      return { type: "answer", status: response.status, body, ...(retryAfter === null ? {} : { retryAfter }) }
    },
    catch: (cause) => cause
  }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(options.timeout),
      orElse: () => Effect.fail(new Error(`No answer within ${options.timeout} ms.`))
    }),
    Effect.catch((cause) => Effect.succeed<Reply>({ type: neverSent(cause) ? "unsent" : "silent", cause }))
  )
