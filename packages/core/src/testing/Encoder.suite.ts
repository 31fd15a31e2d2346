/**
 * What every encoder must keep. The rules run on files that the author brings: `encoderFixtures` makes a full set with any ffmpeg, and
 * some may be replaced by recordings from the street.
 */
import assert from "node:assert/strict"
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { Encoder, EncoderError, type EncoderReason, maxBlurRegions } from "../ports/Encoder.ts"
import { makeSuite, type Rule, type Suite } from "./conformance.ts"
import { jpegSize, topBoxes } from "./mediaFiles.ts"

type Service = Encoder["Service"]

/** A file with what is true of it. Width and height as shown. */
export interface Known {
  readonly path: string
  readonly width: number
  readonly height: number
}

export interface KnownClip extends Known {
  /** Seconds. */
  readonly duration: number
  readonly frameRate: number
  readonly videoCodec: string
  readonly audioCodec: string
}

export interface EncoderFixtures {
  /** With sound, at least 4 seconds, of less than 720 lines. */
  readonly clip: KnownClip
  /** With sound, at least 4 seconds, of more than 720 lines, with `secret` in its metadata. */
  readonly large: KnownClip
  /** Stored lying, shown upright. */
  readonly turnedClip: Known
  /** JPEG larger than 1280×720, with `secret` in its EXIF. */
  readonly photo: Known
  /** JPEG stored lying, shown upright by its EXIF orientation. */
  readonly turnedPhoto: Known
  /** Text as it occurs, byte for byte, in `large` and `photo`. */
  readonly secret: string
  readonly sound: string
  readonly text: string
  readonly empty: string
  /** Text that names another file or address to play, called `.mp4`. */
  readonly playlist: string
  /** A video that broke off before its index. */
  readonly headless: string
  /** A video that broke off after its index; `duration` is of what is there. */
  readonly cut: { readonly path: string; readonly duration: number }
  /** A small file that claims pictures of more pixels than any camera's. */
  readonly bomb: string
}

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "encoder-suite-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)
const bytesOf = (path: string) => Effect.promise(() => readFile(path))
const namesIn = (path: string) => Effect.promise(async () => (await readdir(path)).sort())
const near = (actual: number, expected: number, slack: number, what: string) =>
  assert.ok(Math.abs(actual - expected) <= slack, `${what} is ${actual}, expected ${expected} ± ${slack}`)
const sameShape = (actual: { width: number; height: number }, expected: { width: number; height: number }) =>
  near(actual.width / actual.height, expected.width / expected.height, 0.02, "width over height")
const sizeOf = ({ width, height }: { width: number; height: number }) => ({ width, height })

const whole = ({ width, height }: Known) => ({ box: { x: 0, y: 0, width, height } })

/** A picture with nothing to see in it takes far less room. */
const lessToSee = Effect.fnUntraced(function* (hidden: string, open: string) {
  const [less, more] = [(yield* bytesOf(hidden)).length, (yield* bytesOf(open)).length]
  assert.ok(less < more * 0.6, `hidden it takes ${less} bytes, open ${more}`)
})

const onlySecondHidden = Effect.fnUntraced(function* (frames: ReadonlyArray<{ readonly path: string }>) {
  const [before, during, after] = frames.map((frame) => frame.path)
  assert.ok(before !== undefined && during !== undefined && after !== undefined, `${frames.length} frames`)
  yield* lessToSee(during, before)
  yield* lessToSee(during, after)
})

/** Fails unless the call is refused for that reason. */
const refusal = Effect.fnUntraced(function* (call: Effect.Effect<unknown, EncoderError>, reason: EncoderReason) {
  const error = yield* Effect.flip(call)
  assert.ok(error instanceof EncoderError, `expected an EncoderError, got ${String(error)}`)
  assert.equal(error.reason, reason, error.message)
  return error
})

/** Every method on one input. */
const everyCall = (
  encoder: Service,
  input: string,
  at: string
): ReadonlyArray<Effect.Effect<unknown, EncoderError>> => [
  encoder.probe(input),
  encoder.transcode({ input, output: join(at, "copy.mp4") }),
  encoder.poster({ input, output: join(at, "poster.jpg") }),
  encoder.frames({ input, directory: at, at: [0, 1] })
]

const refusedByAll = (reason: EncoderReason, path: (fixtures: EncoderFixtures) => string) =>
  Effect.fnUntraced(function* (encoder: Service, fixtures: EncoderFixtures) {
    const at = yield* folder
    for (const call of everyCall(encoder, path(fixtures), at)) {
      const error = yield* refusal(call, reason)
      assert.equal(error.retryable, false, "what is wrong with a file stays wrong")
    }
    assert.deepEqual(yield* namesIn(at), [], "something was left behind")
  })

const transcoded = Effect.fnUntraced(function* (encoder: Service, input: string) {
  const output = join(yield* folder, "copy.mp4")
  const told = yield* encoder.transcode({ input, output })
  return { output, told, found: yield* encoder.probe(output) }
})

type Check = (encoder: Service, fixtures: EncoderFixtures) => Effect.Effect<void, unknown, Scope.Scope>

const promises: Record<string, Check> = {
  "names itself with a version": Effect.fnUntraced(function* (encoder) {
    assert.match(encoder.model, /^[^/\s]+\/\S+$/)
  }),
  "probes a clip": Effect.fnUntraced(function* (encoder, { clip }) {
    const info = yield* encoder.probe(clip.path)
    assert.equal(info.kind, "video")
    assert.deepEqual(sizeOf(info), sizeOf(clip))
    near(info.duration, clip.duration, 0.2, "duration")
    near(info.frameRate, clip.frameRate, 0.1, "frame rate")
    assert.deepEqual([info.videoCodec, info.audioCodec], [clip.videoCodec, clip.audioCodec])
  }),
  "probes a picture as a picture": Effect.fnUntraced(function* (encoder, { photo }) {
    const info = yield* encoder.probe(photo.path)
    assert.deepEqual([info.kind, info.duration, info.frameRate], ["image", 0, 0])
    assert.deepEqual(sizeOf(info), sizeOf(photo))
  }),
  "tells the size as shown, after turning": Effect.fnUntraced(function* (encoder, { turnedClip, turnedPhoto }) {
    for (const turned of [turnedClip, turnedPhoto])
      assert.deepEqual(sizeOf(yield* encoder.probe(turned.path)), sizeOf(turned))
  }),
  "calls text NotMedia": refusedByAll("NotMedia", ({ text }) => text),
  "calls an empty file NotMedia": refusedByAll("NotMedia", ({ empty }) => empty),
  "calls a video without its index NotMedia": refusedByAll("NotMedia", ({ headless }) => headless),
  "calls sound alone NoVideo": refusedByAll("NoVideo", ({ sound }) => sound),
  "refuses a playlist whatever its name": refusedByAll("Refused", ({ playlist }) => playlist),
  "refuses pictures of too many pixels": refusedByAll("TooLarge", ({ bomb }) => bomb),
  "makes no video of a picture": Effect.fnUntraced(function* (encoder, { photo }) {
    const at = yield* folder
    yield* refusal(encoder.transcode({ input: photo.path, output: join(at, "copy.mp4") }), "NoVideo")
    assert.deepEqual(yield* namesIn(at), [])
  }),
  "says in every error what it was about and what to do": Effect.fnUntraced(function* (encoder, { text }) {
    const at = yield* folder
    const operations = ["probe", "transcode", "poster", "frames"]
    for (const [index, call] of everyCall(encoder, text, at).entries()) {
      const error = yield* refusal(call, "NotMedia")
      assert.equal(error.operation, operations[index])
      assert.equal(error.subject, basename(text))
      assert.match(error.message, /\S+ \S+ .*\.$/)
    }
  }),
  "copies into MP4 with H.264 and AAC": Effect.fnUntraced(function* (encoder, { large }) {
    const { told, found } = yield* transcoded(encoder, large.path)
    for (const info of [told, found]) {
      assert.deepEqual([info.kind, info.container, info.videoCodec, info.audioCodec], ["video", "mp4", "h264", "aac"])
      near(info.duration, large.duration, 0.3, "duration")
    }
  }),
  "puts the copy's index before its data": Effect.fnUntraced(function* (encoder, { clip }) {
    const { output } = yield* transcoded(encoder, clip.path)
    const boxes = topBoxes(yield* bytesOf(output))
    assert.ok(boxes.includes("moov") && boxes.indexOf("moov") < boxes.indexOf("mdat"), `order is ${boxes.join(", ")}`)
  }),
  "keeps a copy at 720 lines, its shape and even sizes": Effect.fnUntraced(function* (encoder, { large }) {
    const { told, found } = yield* transcoded(encoder, large.path)
    assert.deepEqual(sizeOf(found), sizeOf(told))
    assert.equal(found.height, 720)
    assert.equal(found.width % 2, 0)
    sameShape(found, large)
  }),
  "never enlarges": Effect.fnUntraced(function* (encoder, { clip }) {
    const { found } = yield* transcoded(encoder, clip.path)
    assert.deepEqual(sizeOf(found), sizeOf(clip))
  }),
  "turns the copy upright": Effect.fnUntraced(function* (encoder, { turnedClip }) {
    const { found } = yield* transcoded(encoder, turnedClip.path)
    sameShape(found, turnedClip)
  }),
  "leaves the original's metadata out of copy, poster and frames": Effect.fnUntraced(function* (
    encoder,
    { large, photo, secret }
  ) {
    const at = yield* folder
    for (const { path } of [large, photo])
      assert.ok((yield* bytesOf(path)).includes(secret), `${path} lacks the secret; the test would show nothing`)
    yield* encoder.transcode({ input: large.path, output: join(at, "copy.mp4") })
    yield* encoder.poster({ input: large.path, output: join(at, "poster.jpg") })
    yield* encoder.poster({ input: photo.path, output: join(at, "photo.jpg") })
    yield* encoder.frames({ input: photo.path, directory: at, at: [0] })
    for (const name of yield* namesIn(at)) {
      const bytes = yield* bytesOf(join(at, name))
      assert.ok(!bytes.includes(secret) && !bytes.includes("Exif\0\0"), `${name} carries metadata of the original`)
    }
  }),
  "tells progress that rises to 1": Effect.fnUntraced(function* (encoder, { clip }) {
    const heard: Array<number> = []
    const output = join(yield* folder, "copy.mp4")
    yield* encoder.transcode({ input: clip.path, output, onProgress: (done) => heard.push(done) })
    assert.equal(heard.at(-1), 1)
    for (const [index, done] of heard.entries())
      assert.ok(done >= 0 && done <= 1 && done >= (heard[index - 1] ?? 0), `heard ${heard.join(", ")}`)
  }),
  "takes a clip that broke off at its true length": Effect.fnUntraced(function* (encoder, { cut }) {
    near((yield* encoder.probe(cut.path)).duration, cut.duration, 0.5, "probed duration")
    const { found } = yield* transcoded(encoder, cut.path)
    near(found.duration, cut.duration, 0.5, "duration of the copy")
  }),
  "makes a poster inside 1280×720": Effect.fnUntraced(function* (encoder, { large }) {
    const output = join(yield* folder, "poster.jpg")
    const told = yield* encoder.poster({ input: large.path, output })
    assert.equal(told.kind, "image")
    const size = jpegSize(yield* bytesOf(output))
    assert.deepEqual(size, sizeOf(told))
    assert.ok(size.width <= 1280 && size.height <= 720, `it has ${size.width}×${size.height}`)
    sameShape(size, large)
  }),
  "makes the poster of a picture from the picture": Effect.fnUntraced(function* (encoder, { photo, turnedPhoto }) {
    const at = yield* folder
    for (const picture of [photo, turnedPhoto]) {
      const output = join(at, basename(picture.path))
      yield* encoder.poster({ input: picture.path, output })
      const size = jpegSize(yield* bytesOf(output))
      assert.ok(size.width <= 1280 && size.height <= 720, `it has ${size.width}×${size.height}`)
      sameShape(size, picture)
    }
  }),
  "takes frames in full size, numbered in order": Effect.fnUntraced(function* (encoder, { large }) {
    const directory = join(yield* folder, "frames")
    yield* Effect.promise(() => mkdir(directory))
    const at = [0, 1, 1.5, 3]
    const frames = yield* encoder.frames({ input: large.path, directory, at })
    const names = ["0001.jpg", "0002.jpg", "0003.jpg", "0004.jpg"]
    assert.deepEqual(yield* namesIn(directory), names)
    for (const [index, frame] of frames.entries()) {
      assert.equal(frame.path, join(directory, names[index] as string))
      near(frame.at, at[index] as number, 0.1, "moment")
      assert.deepEqual(jpegSize(yield* bytesOf(frame.path)), sizeOf(large))
    }
    assert.equal(frames.length, at.length)
  }),
  "gives no frame past the end": Effect.fnUntraced(function* (encoder, { clip }) {
    const directory = yield* folder
    const at = [1, clip.duration + 1, clip.duration + 100]
    const frames = yield* encoder.frames({ input: clip.path, directory, at })
    assert.deepEqual(
      frames.map((frame) => frame.path),
      [join(directory, "0001.jpg")]
    )
    assert.deepEqual(yield* namesIn(directory), ["0001.jpg"])
  }),
  "hides the regions of a copy while they last": Effect.fnUntraced(function* (encoder, { clip }) {
    const at = yield* folder
    const output = join(at, "copy.mp4")
    yield* encoder.transcode({ input: clip.path, output, blur: [{ ...whole(clip), from: 1, to: 3 }] })
    const frames = yield* encoder.frames({ input: output, directory: join(at, "frames"), at: [0.5, 2, 3.6] })
    yield* onlySecondHidden(frames)
  }),
  "hides the regions of frames while they last": Effect.fnUntraced(function* (encoder, { clip }) {
    const directory = yield* folder
    const blur = [{ ...whole(clip), from: 1, to: 3 }]
    yield* onlySecondHidden(yield* encoder.frames({ input: clip.path, directory, at: [0.5, 2, 3.6], blur }))
  }),
  "hides the regions of a poster whatever their time": Effect.fnUntraced(function* (
    encoder,
    { clip, photo, turnedPhoto }
  ) {
    const at = yield* folder
    const open = join(at, "open.jpg")
    const hidden = join(at, "hidden.jpg")
    for (const known of [clip, photo, turnedPhoto]) {
      yield* encoder.poster({ input: known.path, output: open })
      yield* encoder.poster({ input: known.path, output: hidden, blur: [{ ...whole(known), from: 2, to: 2.1 }] })
      yield* lessToSee(hidden, open)
    }
  }),
  "leaves out what lies outside the picture": Effect.fnUntraced(function* (encoder, { photo }) {
    const output = join(yield* folder, "poster.jpg")
    const box = { x: photo.width + 10, y: 10, width: 100, height: 100 }
    yield* encoder.poster({ input: photo.path, output, blur: [{ box }, { box: { ...box, x: -500, y: -500 } }] })
    sameShape(jpegSize(yield* bytesOf(output)), photo)
  }),
  "refuses more regions than it takes": Effect.fnUntraced(function* (encoder, { clip }) {
    const at = yield* folder
    const blur = Array.from({ length: maxBlurRegions + 1 }, () => whole(clip))
    yield* refusal(encoder.transcode({ input: clip.path, output: join(at, "copy.mp4"), blur }), "TooLarge")
    yield* refusal(encoder.poster({ input: clip.path, output: join(at, "poster.jpg"), blur }), "TooLarge")
    yield* refusal(encoder.frames({ input: clip.path, directory: at, at: [0], blur }), "TooLarge")
    assert.deepEqual(yield* namesIn(at), [])
  }),
  "replaces what an earlier try left": Effect.fnUntraced(function* (encoder, { photo }) {
    const output = join(yield* folder, "poster.jpg")
    yield* Effect.promise(() => writeFile(output, "half a poster"))
    yield* encoder.poster({ input: photo.path, output })
    sameShape(jpegSize(yield* bytesOf(output)), photo)
  }),
  "takes a file's name for a name and nothing else": Effect.fnUntraced(function* (encoder, { clip, photo }) {
    const at = yield* folder
    for (const [name, from] of [
      ["-y %04d [x]'s.mp4", clip],
      ["%d.jpg", photo]
    ] as const) {
      const input = join(at, name)
      yield* Effect.promise(() => copyFile(from.path, input))
      assert.deepEqual(sizeOf(yield* encoder.probe(input)), sizeOf(from))
      const inside = join(at, `-%03d ${name}`)
      yield* Effect.promise(() => mkdir(inside))
      const output = join(inside, "-%05d.jpg")
      yield* encoder.poster({ input, output })
      assert.deepEqual(yield* namesIn(inside), [basename(output)])
      const [frame] = yield* encoder.frames({ input, directory: inside, at: [0] })
      assert.deepEqual(jpegSize(yield* bytesOf(frame?.path ?? "")), sizeOf(from))
    }
  }),
  "leaves nothing behind when it is interrupted": Effect.fnUntraced(function* (encoder, { large }) {
    const at = yield* folder
    const begun = yield* Deferred.make<void>()
    const transcode = encoder.transcode({
      input: large.path,
      output: join(at, "copy.mp4"),
      onProgress: () => Deferred.doneUnsafe(begun, Effect.void)
    })
    const fiber = yield* Effect.forkChild(transcode)
    yield* Effect.race(Deferred.await(begun), Fiber.await(fiber))
    yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    assert.equal(exit._tag, "Failure", "the clip was done before it could be interrupted; take a longer one")
    assert.deepEqual(yield* namesIn(at), [])
  }),
  "keeps several at once apart": Effect.fnUntraced(function* (encoder, { clip, large, photo }) {
    const at = yield* folder
    const jobs = [clip, large, photo].map((known, index) => ({ known, output: join(at, `${index}.jpg`) }))
    yield* Effect.forEach(jobs, ({ known, output }) => encoder.poster({ input: known.path, output }), {
      concurrency: "unbounded"
    })
    for (const { known, output } of jobs) sameShape(jpegSize(yield* bytesOf(output)), known)
  })
}

/** The rules, held against the given files. */
export const encoderSuite = (fixtures: EncoderFixtures): Suite<Encoder, Service> =>
  makeSuite(
    "Encoder",
    Encoder,
    Object.entries(promises).map(([name, check]): Rule<Encoder, Service> => ({
      name,
      check: (encoder) => check(encoder, fixtures)
    }))
  )
