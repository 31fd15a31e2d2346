/**
 * LOAD STAND-INS, not an encoder and not a detector: they copy bytes and read a plate out of a hash, so that a kill test can push thousands
 * of reports through the engine's own steps. Rounds with the real ffmpeg and plates run beside them.
 */
import { createHash } from "node:crypto"
import { copyFile, readFile } from "node:fs/promises"
import { join } from "node:path"
import { definePlugin, Detector, DetectorError, Encoder, EncoderError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/** Long enough to be hit, short enough for many. */
const pace = "25 millis"

const refuse = (operation: string, subject: string) => (cause: unknown) =>
  new EncoderError({
    reason: "Unavailable",
    operation,
    subject,
    message: `The stand-in could not copy ${subject}. Look at the disk.`,
    retryable: true,
    cause
  })

const picture = {
  kind: "image",
  container: "jpeg",
  width: 320,
  height: 240,
  duration: 0,
  frameRate: 0,
  videoCodec: "mjpeg"
} as const

const copied = (operation: string, { input, output }: { readonly input: string; readonly output: string }) =>
  Effect.tryPromise({ try: () => copyFile(input, output), catch: refuse(operation, input) }).pipe(
    Effect.delay(pace),
    Effect.as(picture)
  )

export const standInEncoder = definePlugin({
  id: "@mahalla/stand-in-encoder",
  apiVersion: 1,
  config: Schema.Struct({}),
  provides: [Encoder],
  layer: () =>
    Layer.succeed(
      Encoder,
      Encoder.of({
        model: "stand-in/1",
        probe: () => Effect.succeed(picture),
        transcode: (request) => copied("transcode", request),
        poster: (request) => copied("poster", request),
        frames: ({ at, directory, input }) =>
          Effect.forEach(at, (moment, index) => {
            const path = join(directory, `${String(index + 1).padStart(4, "0")}.jpg`)
            return Effect.as(copied("frames", { input, output: path }), { path, at: moment })
          })
      })
    )
})

/** The plate that the stand-in "reads" in a file. */
export const plateOf = (bytes: Uint8Array): string => {
  const digest = createHash("sha256").update(bytes).digest()
  return `01A${String(digest.readUInt16BE(0) % 1000).padStart(3, "0")}BC`
}

export const standInDetector = definePlugin({
  id: "@mahalla/stand-in-detector",
  apiVersion: 1,
  config: Schema.Struct({}),
  provides: [Detector],
  layer: () =>
    Layer.succeed(
      Detector,
      Detector.of({
        model: "stand-in/1",
        detect: ({ frames }) =>
          Effect.forEach(frames, ({ path }, frame) =>
            Effect.tryPromise({
              try: () => readFile(path),
              catch: (cause) =>
                new DetectorError({
                  reason: "Unavailable",
                  operation: "detect",
                  subject: path,
                  message: `The stand-in could not read ${path}. Look at the disk.`,
                  retryable: true,
                  cause
                })
            }).pipe(
              Effect.delay(pace),
              Effect.map((bytes) => ({
                kind: "plate",
                frame,
                box: { x: 1, y: 1, width: 100, height: 20 },
                text: plateOf(bytes),
                country: "UZ",
                confidence: 0.99,
                certain: true
              }))
            )
          )
      })
    )
})
