/** JSON bodies before anybody reads them: bytes that are not UTF-8, nests too deep, characters the database cannot keep, names given twice. */
import { isUtf8 } from "node:buffer"
import { IncomingMessage } from "node:http"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type ProblemAnswer, problem } from "../../kernel/http/problems.ts"
import { readNodeBody } from "../../kernel/http/nodeBody.ts"

/** Levels of arrays and objects a body may have. */
export const maxDepth = 32

/** The deepest nest of brackets outside of strings, and how many names there are. */
const shapeOf = (text: string): { readonly deepest: number; readonly names: number } => {
  let depth = 0
  let deepest = 0
  let names = 0
  let inString = false
  for (let place = 0; place < text.length; place++) {
    const code = text.charCodeAt(place)
    if (inString) {
      if (code === 92) place++
      else if (code === 34) inString = false
    } else if (code === 34) inString = true
    else if (code === 123 || code === 91) deepest = Math.max(deepest, ++depth)
    else if (code === 125 || code === 93) depth--
    else if (code === 58) names++
  }
  return { deepest, names }
}

/** How many names a parsed value has: of two that are the same in one object the parser has kept the last. */
const namesIn = (value: object): number => {
  let names = 0
  if (Array.isArray(value)) {
    for (const part of value as ReadonlyArray<unknown>)
      if (typeof part === "object" && part !== null) names += namesIn(part)
    return names
  }
  // What the parser makes inherits nothing that could be counted.
  for (const name in value) {
    names++
    const part = (value as Readonly<Record<string, unknown>>)[name]
    if (typeof part === "object" && part !== null) names += namesIn(part)
  }
  return names
}

/** One step into what surrounds it: the name or the index, and the names that were there before. */
interface Level {
  step: string | number
  readonly seen: Set<string> | undefined
}

/** JSON Pointer (RFC 6901) of the first name that its object has twice; for text that the parser has taken. */
const firstDuplicate = (text: string): string | undefined => {
  const levels: Array<Level> = []
  // A string, or a sign that gives structure; numbers and words say nothing here.
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\],]/g)) {
    const level = levels.at(-1)
    if (token === "{") levels.push({ step: "", seen: new Set() })
    else if (token === "[") levels.push({ step: 0, seen: undefined })
    else if (token === "}" || token === "]") levels.pop()
    else if (token === ",") {
      if (typeof level?.step === "number") level.step++
    } else if (token.endsWith(":") && level?.seen !== undefined) {
      const name = String(JSON.parse(token.slice(0, -1)))
      level.step = name
      if (level.seen.has(name))
        return levels.map(({ step }) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
      level.seen.add(name)
    }
  }
  return undefined
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
  const { deepest, names } = shapeOf(text)
  if (deepest > maxDepth) return bodyProblem(`The body is nested deeper than ${maxDepth} levels.`)
  if (text.includes("\\u0000") && /(?<!\\)(?:\\\\)*\\u0000/.test(text))
    return bodyProblem("The body contains the character U+0000, which cannot be stored.")
  try {
    const value: unknown = text === "" ? null : JSON.parse(text)
    // Half a character, as "\ud800", is JSON and yet no text that anybody could store or show.
    if (/\\u[dD][89a-fA-F]/.test(text) && !isWellFormed(value))
      return bodyProblem("The body contains half of a surrogate pair, which is no character.")
    // RFC 8259, section 4: what two readers make of it differs, and what one has checked the other may not have seen.
    if (names > 0 && namesIn(value as object) !== names)
      return problem(400, "invalid-input", "A name stands twice in one object.", {
        errors: [{ pointer: firstDuplicate(text) ?? "", detail: "This name stands here twice. Send it once." }]
      })
    return { text, value }
  } catch (error) {
    return bodyProblem(`The body is not JSON: ${(error as Error).message}.`)
  }
}

const isJson = (contentType: string | undefined) =>
  contentType !== undefined && /^application\/(?:[a-z.+-]+\+)?json\b/i.test(contentType)

/** Seconds in which a body must have arrived: who sends it slower keeps a place that others need. */
const bodySeconds = 30
export const bodyMillis = bodySeconds * 1_000

export const late = problem(
  408,
  "body-too-slow",
  `The body did not arrive within ${bodySeconds} seconds. Send it again in one go.`,
  {},
  // What is still to come of it is not read.
  { connection: "close" }
)

const tooLarge = problem(413, "too-large", "The body is larger than this address takes, or it broke off.")

/** A body as it came, or why not; `limit` in bytes. */
export const bodyBytes = (request: HttpServerRequest, limit: number): Effect.Effect<Uint8Array | ProblemAnswer> =>
  request.source instanceof IncomingMessage
    ? Effect.map(readNodeBody(request.source, limit, bodyMillis), (read) =>
        typeof read !== "string" ? read : read === "late" ? late : tooLarge
      )
    : request.arrayBuffer.pipe(
        Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.fromInputUnsafe(limit)),
        Effect.map((buffer) => new Uint8Array(buffer)),
        Effect.timeoutOrElse({ duration: bodyMillis, orElse: () => Effect.succeed(late) }),
        Effect.catchCause(() => Effect.succeed(tooLarge))
      )

/** The request, with its body read and checked if it is JSON; other bodies pass untouched. `limit` in bytes. */
export const checkedBody = (
  request: HttpServerRequest,
  limit: number
): Effect.Effect<HttpServerRequest | ProblemAnswer> => {
  if (request.method === "GET" || request.method === "HEAD" || !isJson(request.headers["content-type"]))
    return Effect.succeed(request)
  return Effect.map(bodyBytes(request, limit), (bytes) => {
    if ("status" in bytes) return bytes
    const checked = checkJson(bytes)
    if ("status" in checked) return checked
    // Its own, and not those of an object behind which it stands: the engine slows down what others inherit from.
    return Object.defineProperties(request, {
      text: { value: Effect.succeed(checked.text) },
      json: { value: Effect.succeed(checked.value) }
    })
  })
}
