/**
 * The Detector that reads licence plates and finds faces: checks the request, asks the reader's process within the time allowed, and weighs what several
 * frames of one video say about the same plate.
 */
import { Detector, DetectorError, type DetectorReason, type DetectRequest } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { availableParallelism } from "node:os"
import { basename } from "node:path"
import type { PlatesConfig } from "./config.ts"
import { facesOf, mergeFrames } from "./merge.ts"
import type { Answer, Question } from "./protocol.ts"
import { makeReader } from "./Reader.ts"

/** Changes whenever the same picture may give another finding. */
export const model = "plates/1.2.0"

const next: Record<DetectorReason, string> = {
  NotMedia: "Hand in an undamaged JPEG or PNG picture.",
  TooLarge: "Hand in a smaller picture, or raise maxPixels or maxBytes in the plugin's configuration.",
  Timeout: "Try again when the machine is less busy, hand in fewer frames, or raise the timeout.",
  Unavailable:
    "Try again; if it stays so, look whether the machine lacks memory and whether the package sharp is installed for it."
}

const fail = (reason: DetectorReason, subject: string, what: string, cause?: unknown) =>
  new DetectorError({
    reason,
    operation: "detect",
    subject,
    message: `${what} ${next[reason]}`,
    retryable: reason === "Timeout" || reason === "Unavailable",
    ...(cause === undefined ? {} : { cause })
  })

/** Frames of one request from which on a second reader is worth its start. */
const worthSharing = 6

type Answered = Extract<Answer, { readonly ok: true }>

/** The answers of readers that had every first, second … picture, as one; the first that failed stands for all. */
const inTurn = (answers: ReadonlyArray<Answer>): Answer => {
  const failed = answers.find((answer) => !answer.ok)
  if (failed !== undefined) return failed
  const parts = answers as ReadonlyArray<Answered>
  const pictures = parts.reduce((sum, { frames }) => sum + frames.length, 0)
  const all = <A>(of: (part: Answered) => ReadonlyArray<A>) =>
    Array.from({ length: pictures }, (_, index) => of(parts[index % parts.length]!)[Math.floor(index / parts.length)]!)
  return { ...parts[0]!, frames: all(({ frames }) => frames), faces: all(({ faces }) => faces) }
}

export const platesDetector = (config: PlatesConfig, options: { readonly program?: string } = {}) =>
  Layer.effect(
    Detector,
    Effect.gen(function* () {
      const make = makeReader({
        idle: config.idle,
        ...(options.program === undefined ? {} : { path: options.program })
      })
      // A film's frames are shared out among two, for decoding and reading keep one core busy each.
      const readers = availableParallelism() > 1 ? [yield* make, yield* make] : [yield* make]
      const ask = (question: Omit<Question, "id">) => {
        const parts = question.paths.length < worthSharing ? readers.slice(0, 1) : readers
        const asked = parts.map((reader, part) =>
          reader.ask({ ...question, paths: question.paths.filter((_, index) => index % parts.length === part) })
        )
        return Effect.map(Effect.all(asked, { concurrency: "unbounded" }), inTurn)
      }
      const detect = Effect.fn("Detector.detect")(function* (request: DetectRequest) {
        if (request.frames.length === 0) return []
        const subject = basename(request.frames[0]!.path)
        const limit = request.timeout ?? config.timeout
        const answer = yield* ask({
          paths: request.frames.map((frame) => frame.path),
          countries: (request.countries ?? config.countries).map((country) => country.toUpperCase()),
          maxPixels: config.maxPixels,
          maxBytes: config.maxBytes
        }).pipe(
          Effect.timeoutOrElse({
            duration: limit,
            orElse: () => Effect.fail(fail("Timeout", subject, `Reading plates took longer than ${limit} ms.`))
          }),
          Effect.catchTag("ReaderGone", (gone) =>
            Effect.fail(fail("Unavailable", subject, `The plate reader stopped: ${gone.message}.`, gone))
          )
        )
        if (answer.ok)
          return [...mergeFrames(request.frames, answer.frames), ...facesOf(request.frames, answer.faces)].sort(
            (a, b) => b.confidence - a.confidence || a.frame - b.frame
          )
        const file = basename(answer.path)
        return yield* answer.reason === "Failed"
          ? fail("Unavailable", file, `The plate reader failed on ${file}: ${answer.message}.`)
          : fail(answer.reason, file, `${file} was not read: ${answer.message}.`)
      })
      return Detector.of({ model, detect })
    })
  )
