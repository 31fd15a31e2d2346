/**
 * The Detector that reads licence plates and finds faces: checks the request, asks the reader's process within the time allowed, and weighs what several
 * frames of one video say about the same plate.
 */
import { Detector, DetectorError, type DetectorReason, type DetectRequest } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { basename } from "node:path"
import type { PlatesConfig } from "./config.ts"
import { facesOf, mergeFrames } from "./merge.ts"
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

export const platesDetector = (config: PlatesConfig, options: { readonly program?: string } = {}) =>
  Layer.effect(
    Detector,
    Effect.gen(function* () {
      const reader = yield* makeReader({
        idle: config.idle,
        ...(options.program === undefined ? {} : { path: options.program })
      })
      const detect = Effect.fn("Detector.detect")(function* (request: DetectRequest) {
        if (request.frames.length === 0) return []
        const subject = basename(request.frames[0]!.path)
        const limit = request.timeout ?? config.timeout
        const answer = yield* reader
          .ask({
            paths: request.frames.map((frame) => frame.path),
            countries: (request.countries ?? config.countries).map((country) => country.toUpperCase()),
            maxPixels: config.maxPixels,
            maxBytes: config.maxBytes
          })
          .pipe(
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
