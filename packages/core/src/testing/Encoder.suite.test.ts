import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, describe, expect, it } from "vitest"
import { Encoder, EncoderError, type EncoderReason, type MediaInfo } from "../ports/Encoder.ts"
import { memoryEncoder, pretendedMedium, type PretendedMedium } from "./Encoder.memory.ts"
import { encoderSuite, type EncoderFixtures } from "./Encoder.suite.ts"
import { withExif } from "./mediaFiles.ts"

const home = mkdtempSync(join(tmpdir(), "encoder-fixtures-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const file = (name: string, bytes: Uint8Array | string) => {
  writeFileSync(join(home, name), bytes)
  return join(home, name)
}
const pretend = (name: string, medium: PretendedMedium) => file(name, pretendedMedium(medium))
const secret = "+41.3111+069.2797/"
const clip = { width: 768, height: 432, duration: 30, frameRate: 12.5 }
const large = { width: 1920, height: 1080, duration: 6, frameRate: 30 }
const codecs = { videoCodec: "h264", audioCodec: "aac" }
const fixtures: EncoderFixtures = {
  secret,
  clip: { path: pretend("clip.mp4", { kind: "video", ...clip }), ...clip, ...codecs },
  large: { path: pretend("large.mp4", { kind: "video", ...large, about: secret }), ...large, ...codecs },
  turnedClip: {
    path: pretend("turned.mp4", { kind: "video", width: 1280, height: 720, duration: 4, turned: true }),
    width: 720,
    height: 1280
  },
  photo: {
    path: file("photo.jpg", withExif(pretendedMedium({ kind: "image", width: 1600, height: 1200 }), 1, secret)),
    width: 1600,
    height: 1200
  },
  turnedPhoto: {
    path: pretend("turned.jpg", { kind: "image", width: 1600, height: 1200, turned: true }),
    width: 1200,
    height: 1600
  },
  sound: pretend("sound.m4a", { kind: "sound", width: 0, height: 0 }),
  text: file("notes.mp4", "Dear city, there is a hole in our street."),
  empty: file("empty.mp4", ""),
  playlist: file("playlist.mp4", "#EXTM3U\nfile:///etc/passwd\n"),
  headless: file("headless.mp4", pretendedMedium({ kind: "video", ...clip }).subarray(0, 24)),
  cut: { path: pretend("cut.mp4", { kind: "video", ...clip, duration: 11 }), duration: 11 },
  bomb: pretend("bomb.mp4", { kind: "video", width: 60_000, height: 60_000, duration: 1 })
}

const suite = encoderSuite(fixtures)
suite.run({ describe, it }, { name: "memory", layer: memoryEncoder })

type Service = Encoder["Service"]
type Break = (real: Service) => Partial<Service>

const broken = (spoil: Break) =>
  Layer.effect(
    Encoder,
    Effect.map(Encoder, (real) => Encoder.of({ ...real, ...spoil(real) }))
  ).pipe(Layer.provide(memoryEncoder))

const error = (reason: EncoderReason, operation = "", retryable = false) =>
  new EncoderError({ reason, operation, subject: "", message: "", retryable })

/** Every method passes a refusal on as another one. */
const everywhere =
  (change: (wrong: EncoderError) => EncoderError): Break =>
  (real) => ({
    probe: (input) => Effect.mapError(real.probe(input), change),
    transcode: (request) => Effect.mapError(real.transcode(request), change),
    poster: (request) => Effect.mapError(real.poster(request), change),
    frames: (request) => Effect.mapError(real.frames(request), change)
  })
const confuses = (reason: EncoderReason, other: EncoderReason) =>
  everywhere((wrong) => (wrong.reason === reason ? error(other) : wrong))

/** The answer is right, the file at `output` is not. */
const writes =
  (method: "transcode" | "poster", bytes: (made: Buffer) => Uint8Array | string): Break =>
  (real) => ({
    [method]: (request: { input: string; output: string }) =>
      Effect.tap(real[method](request), () =>
        Effect.sync(() => writeFileSync(request.output, bytes(readFileSync(request.output))))
      )
  })
const tells =
  (change: Partial<MediaInfo>): Break =>
  (real) => ({ probe: (input) => Effect.map(real.probe(input), (info) => ({ ...info, ...change })) })
const copyOf = (medium: Omit<PretendedMedium, "kind">) =>
  writes("transcode", () => pretendedMedium({ kind: "video", ...medium }))
const posterOf = (width: number, height: number) =>
  writes("poster", () => pretendedMedium({ kind: "image", width, height }))
const wide = { duration: 6, frameRate: 30, width: 1280, height: 720 }

const breaks: Record<string, Break> = {
  "names itself with a version": () => ({ model: "encoder" }),
  "probes a clip": tells({ duration: 17 }),
  "probes a picture as a picture": tells({ kind: "video" }),
  "tells the size as shown, after turning": tells({ width: 1280, height: 720 }),
  "calls text NotMedia": everywhere((wrong) => (wrong.reason === "NotMedia" ? error("NotMedia", "", true) : wrong)),
  "calls an empty file NotMedia": confuses("NotMedia", "Unavailable"),
  "calls a video without its index NotMedia": (real) => ({
    transcode: (request) => Effect.tapError(real.transcode(request), () => Effect.sync(() => leave(request.output)))
  }),
  "calls sound alone NoVideo": confuses("NoVideo", "NotMedia"),
  "refuses a playlist whatever its name": confuses("Refused", "NotMedia"),
  "refuses pictures of too many pixels": confuses("TooLarge", "Timeout"),
  "makes no video of a picture": (real) => ({
    transcode: (request) => Effect.catch(real.transcode(request), () => real.poster(request))
  }),
  "says in every error what it was about and what to do": everywhere((wrong) => error(wrong.reason, wrong.operation)),
  "copies into MP4 with H.264 and AAC": (real) => ({
    transcode: (request) => Effect.map(real.transcode(request), (info) => ({ ...info, videoCodec: "hevc" }))
  }),
  "puts the copy's index before its data": writes("transcode", (made) =>
    Buffer.concat([made.subarray(0, 20), made.subarray(-12), made.subarray(20, -12)])
  ),
  "keeps a copy at 720 lines, its shape and even sizes": copyOf({ ...wide, width: 1440 }),
  "never enlarges": copyOf({ ...wide, duration: 30 }),
  "turns the copy upright": copyOf({ ...wide, duration: 4 }),
  "leaves the original's metadata out of copy, poster and frames": writes("poster", (made) =>
    withExif(made, 1, "here")
  ),
  "tells progress that rises to 1": (real) => ({
    transcode: ({ onProgress, ...request }) =>
      real.transcode({ ...request, onProgress: (done) => onProgress?.(1 - done) })
  }),
  "takes a clip that broke off at its true length": tells({ duration: 30 }),
  "makes a poster inside 1280×720": posterOf(1920, 1080),
  "makes the poster of a picture from the picture": posterOf(1280, 720),
  "takes frames in full size, numbered in order": (real) => ({
    frames: (request) => Effect.map(real.frames(request), (frames) => frames.toReversed())
  }),
  "gives no frame past the end": (real) => ({
    frames: (request) => real.frames({ ...request, at: request.at.map((moment) => Math.min(moment, 29)) })
  }),
  "hides the regions of a copy while they last": (real) => ({
    transcode: ({ input, output }) => real.transcode({ input, output })
  }),
  "hides the regions of frames while they last": (real) => ({
    frames: ({ blur, ...request }) =>
      real.frames({ ...request, ...(blur === undefined ? {} : { blur: blur.map(({ box }) => ({ box })) }) })
  }),
  "hides the regions of a poster whatever their time": (real) => ({
    poster: ({ blur, ...request }) =>
      real.poster({
        ...request,
        ...(blur === undefined ? {} : { blur: blur.filter(({ from }) => from === undefined) })
      })
  }),
  "leaves out what lies outside the picture": (real) => ({
    poster: (request) =>
      request.blur?.some(({ box }) => box.x < 0) === true
        ? Effect.fail(error("Unavailable", "poster", true))
        : real.poster(request)
  }),
  "refuses more regions than it takes": (real) => ({
    transcode: (request) => Effect.catch(real.transcode(request), () => real.probe(request.input))
  }),
  "replaces what an earlier try left": (real) => ({
    poster: (request) =>
      existsSync(request.output) ? Effect.fail(error("Unavailable", "poster", true)) : real.poster(request)
  }),
  "takes a file's name for a name and nothing else": (real) => ({
    probe: (input) => real.probe(input.replace(/%\d*d/, "0001")),
    poster: ({ input, output }) => real.poster({ input, output: output.replace(/%\d*d/g, "0001") })
  }),
  "leaves nothing behind when it is interrupted": (real) => ({
    transcode: (request) =>
      Effect.andThen(
        Effect.sync(() => leave(request.output)),
        real.transcode(request)
      )
  }),
  "keeps several at once apart": (real) => {
    let latest = ""
    return {
      poster: (request) =>
        Effect.sync(() => void (latest = request.input)).pipe(
          Effect.andThen(Effect.yieldNow),
          Effect.andThen(Effect.suspend(() => real.poster({ ...request, input: latest })))
        )
    }
  }
}

const leave = (output: string) => {
  mkdirSync(dirname(output), { recursive: true })
  writeFileSync(`${output}.part`, "half")
}

describe("Encoder suite", () => {
  it("has a broken encoder for every rule", () => {
    expect(Object.keys(breaks)).toEqual(suite.rules.map((rule) => rule.name))
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it(`notices an encoder that breaks "${rule}"`, async () => {
      expect(await suite.verdict(rule, broken(spoil))).toBe("broken")
      expect(await suite.verdict(rule, memoryEncoder)).toBe("kept")
    })
})
