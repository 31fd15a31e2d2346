/**
 * Settings of the ffmpeg plugin: which programs, how long, how much. Every limit stands so that an ordinary phone's recording passes
 * and a file made to exhaust the machine does not.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const positive = (byDefault: number) =>
  Schema.Int.check(Schema.isGreaterThan(0)).pipe(Schema.withDecodingDefault(Effect.succeed(byDefault)))

const MiB = 1024 * 1024

export const FfmpegLimits = Schema.Struct({
  /** Bytes of an input file. Default 2 GiB. */
  bytes: positive(2048 * MiB),
  /** Seconds of an input video. Default 600. */
  seconds: positive(600),
  /** Pixels of one picture of a video, width × height. Default 36 million: 8K passes. */
  videoPixels: positive(36_000_000),
  /** Pixels of a photograph. Default 120 million: a 108-megapixel phone passes. */
  photoPixels: positive(120_000_000),
  /** Address space of one ffmpeg process in bytes, where `prlimit` is installed. Default 2 GiB. */
  memory: positive(2048 * MiB),
  /** Bytes of one output file. Default 512 MiB, more than 600 seconds at the highest bit rate we write. */
  output: positive(512 * MiB),
  /** Moments that one call of `frames` may ask for. Default 2,000. */
  frames: positive(2_000)
})

export const FfmpegConfig = Schema.Struct({
  /** Path of the ffmpeg program. Default: the one on PATH; in `dev` else the old one from npm. */
  ffmpeg: Schema.optionalKey(Schema.NonEmptyString),
  /** Path of the ffprobe program. Default: beside the configured ffmpeg, else as for `ffmpeg`. */
  ffprobe: Schema.optionalKey(Schema.NonEmptyString),
  /** Threads of one ffmpeg process. Default: the machine's, at most 4. */
  threads: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))),
  /** Milliseconds for one transcode, poster or set of frames. Default 15 minutes. */
  timeout: positive(900_000),
  /** Milliseconds to find out what a file is. Default 30 seconds. */
  probeTimeout: positive(30_000),
  limits: FfmpegLimits.pipe(Schema.withDecodingDefault(Effect.succeed({})))
})
export type FfmpegConfig = typeof FfmpegConfig.Type
