/** A file's bytes as a network, whichever of the two formats they have. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { readGeoJson } from "./geojson.ts"
import { makeInpReader } from "./inp.ts"
import type { ImportFormat } from "./model.ts"

/** Bytes of a file at most: EPANET's of half a million pipes has about as many. */
export const maxFile = 64 * 1024 * 1024

/** Metres within which a line's end and a point are the same place. */
export const defaultTolerance = 1

const tooLarge = new InvalidInput({
  issues: [{ pointer: "", detail: `The file is larger than ${maxFile / 1024 / 1024} MiB; divide it into networks.` }]
})

const notText = new InvalidInput({ issues: [{ pointer: "", detail: "The file is not UTF-8 text." }] })

/** The bytes as text, a piece at a time; refuses what is too large and what is no text. */
const textOf = <E>(
  bytes: Stream.Stream<Uint8Array, E>,
  format: ImportFormat
): Stream.Stream<string, E | InvalidInput> =>
  Stream.suspend(() => {
    let size = 0
    // JSON is UTF-8. Old exports of EPANET are in some code page: remarks and titles may lose what is not ASCII, names are looked at when they are read.
    const decoder = new TextDecoder("utf-8", { fatal: format === "geojson" })
    return Stream.mapEffect(bytes, (chunk) => {
      size += chunk.length
      if (size > maxFile) return Effect.fail(tooLarge)
      return Effect.try({ try: () => decoder.decode(chunk, { stream: true }), catch: () => notText }).pipe(
        Effect.filterOrFail(
          (text) => !text.includes("\u0000"),
          () => notText
        ),
        // Others want their turn too.
        Effect.tap(Effect.yieldNow)
      )
    })
  })

/** The database keeps neither U+0000 nor half of a surrogate pair. */
const isStorable = (value: unknown): boolean =>
  typeof value === "string"
    ? value.isWellFormed() && !value.includes("\0")
    : typeof value !== "object" || value === null
      ? true
      : Object.entries(value).every(([name, part]) => isStorable(name) && isStorable(part))

/** `tolerance` in metres, for GeoJSON. */
export const readNetwork = <E>(
  bytes: Stream.Stream<Uint8Array, E>,
  format: ImportFormat,
  tolerance = defaultTolerance
) =>
  Effect.gen(function* () {
    if (format === "epanet") {
      const reader = makeInpReader()
      yield* Stream.runForEach(Stream.splitLines(textOf(bytes, format)), (line) => Effect.sync(() => reader.take(line)))
      const file = reader.end()
      return file instanceof InvalidInput ? yield* file : file
    }
    const parts: Array<string> = []
    yield* Stream.runForEach(textOf(bytes, format), (text) => Effect.sync(() => parts.push(text)))
    const text = parts.join("")
    const file = yield* Effect.try({
      try: () => {
        const document: unknown = JSON.parse(text)
        return /\\u(?:0000|[dD][89abAB])/.test(text) && !isStorable(document)
          ? notText
          : readGeoJson(document, tolerance)
      },
      catch: (error) =>
        new InvalidInput({ issues: [{ pointer: "", detail: `The file is not JSON: ${(error as Error).message}.` }] })
    })
    return file instanceof InvalidInput ? yield* file : file
  })
