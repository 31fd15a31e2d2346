/** JSON bodies before anybody parses them: bytes that are not UTF-8, nests too deep, characters the database cannot keep. */
import { isUtf8 } from "node:buffer"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type ProblemAnswer, problem } from "../../kernel/http/problems.ts"

/** Levels of arrays and objects a body may have. */
export const maxDepth = 32

/** The deepest nest of brackets outside of strings. */
const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let place = 0; place < text.length; place++) {
    const code = text.charCodeAt(place)
    if (inString) {
      if (code === 92) place++
      else if (code === 34) inString = false
    } else if (code === 34) inString = true
    else if (code === 123 || code === 91) deepest = Math.max(deepest, ++depth)
    else if (code === 125 || code === 93) depth--
  }
  return deepest
}

const bodyProblem = (detail: string) => problem(400, "invalid-body", detail)

const isWellFormed = (value: unknown): boolean =>
  typeof value === "string"
    ? value.isWellFormed()
    : typeof value !== "object" || value === null
      ? true
      : Object.entries(value).every(([name, part]) => name.isWellFormed() && isWellFormed(part))

const decoder = new TextDecoder()

/** A JSON body's text and value, or what is wrong with its bytes. No text at all is null. */
export const checkJson = (bytes: Uint8Array): ProblemAnswer | { readonly text: string; readonly value: unknown } => {
  if (!isUtf8(bytes)) return bodyProblem("The body is not UTF-8.")
  const text = decoder.decode(bytes)
  if (depthOf(text) > maxDepth) return bodyProblem(`The body is nested deeper than ${maxDepth} levels.`)
  if (text.includes("\\u0000") && /(?<!\\)(?:\\\\)*\\u0000/.test(text))
    return bodyProblem("The body contains the character U+0000, which cannot be stored.")
  try {
    const value: unknown = text === "" ? null : JSON.parse(text)
    // Half a character, as "\ud800", is JSON and yet no text that anybody could store or show.
    if (/\\u[dD][89a-fA-F]/.test(text) && !isWellFormed(value))
      return bodyProblem("The body contains half of a surrogate pair, which is no character.")
    return { text, value }
  } catch (error) {
    return bodyProblem(`The body is not JSON: ${(error as Error).message}.`)
  }
}

const isJson = (contentType: string | undefined) =>
  contentType !== undefined && /^application\/(?:[a-z.+-]+\+)?json\b/i.test(contentType)

/** Seconds in which a body must have arrived: who sends it slower keeps a place that others need. */
const bodySeconds = 30

const late = problem(
  408,
  "body-too-slow",
  `The body did not arrive within ${bodySeconds} seconds. Send it again in one go.`,
  {},
  // What is still to come of it is not read.
  { connection: "close" }
)

/** Replaces the request by one whose body has been read and checked; other bodies pass untouched. */
export const checkedBody = (request: HttpServerRequest): Effect.Effect<HttpServerRequest | ProblemAnswer> => {
  if (request.method === "GET" || request.method === "HEAD" || !isJson(request.headers["content-type"]))
    return Effect.succeed(request)
  return request.arrayBuffer.pipe(
    Effect.map((buffer) => {
      const checked = checkJson(new Uint8Array(buffer))
      if ("status" in checked) return checked
      return Object.create(request, {
        text: { value: Effect.succeed(checked.text) },
        json: { value: Effect.succeed(checked.value) }
      }) as HttpServerRequest
    }),
    Effect.timeoutOrElse({ duration: bodySeconds * 1_000, orElse: () => Effect.succeed(late) }),
    Effect.catchCause(() =>
      Effect.succeed(problem(413, "too-large", "The body is larger than this address takes, or it broke off."))
    )
  )
}
