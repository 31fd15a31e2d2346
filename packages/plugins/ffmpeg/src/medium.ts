/**
 * What a file really is: its container by its first bytes, its streams by ffprobe, its length by its packets. A header may promise ten
 * minutes where the connection broke after two; the packets are what is there.
 */
import type { EncoderError, MediaInfo } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fileUrl, inputGuards } from "./allowed.ts"
import type { FfmpegConfig } from "./config.ts"
import {
  claimsTooMuch,
  complaint,
  explain,
  failure,
  notMedia,
  onDisk,
  refused,
  timedOut,
  tooLarge,
  type Task
} from "./errors.ts"
import { displayed, matrixOf, type Matrix } from "./geometry.ts"
import type { Programs } from "./programs.ts"
import { run, type Finished, type Program, type Run } from "./run.ts"
import { look, type Sniffed } from "./sniff.ts"

export interface Shop {
  readonly programs: Programs
  readonly config: FfmpegConfig
}

export interface Medium {
  readonly path: string
  readonly info: MediaInfo
  readonly demuxer: string
  /** Index of the one stream of pictures that counts. */
  readonly stream: number
  readonly hasAudio: boolean
  /** As in the file's metadata; of a photograph ffmpeg before 5 does not apply it by itself. */
  readonly matrix: Matrix | undefined
  /** Whether the pixels are not square, so that the size shown differs from the size stored. */
  readonly stretched: boolean
  /** Moments of the pictures in seconds of the file's own clock, ascending; empty for a picture. */
  readonly shown: ReadonlyArray<number>
  /** Those of them that can be decoded without what came before. */
  readonly keys: ReadonlyArray<number>
}

/** Runs one of the programs and turns every unhappy end into the port's error. */
export const attempt = (
  task: Task,
  request: Omit<Run, "program"> & { readonly program: Program }
): Effect.Effect<Finished, EncoderError> =>
  run(request).pipe(
    Effect.mapError((error) =>
      error._tag === "TimedOut"
        ? timedOut(task, error.timeout)
        : failure(
            task,
            "Unavailable",
            `${request.program.path} could not be started`,
            "See whether it is still installed; it is tried again.",
            error.cause
          )
    ),
    Effect.flatMap((finished) => {
      if (finished.overflowed) return Effect.fail(tooLarge(task, "it has more pictures than allowed"))
      const error = complaint(task, finished)
      return error === undefined ? Effect.succeed(finished) : Effect.fail(error)
    })
  )

const optionalText = Schema.optionalKey(Schema.String)
const SideData = Schema.Struct({ displaymatrix: optionalText })
const Probed = Schema.fromJsonString(
  Schema.Struct({
    streams: Schema.Array(
      Schema.Struct({
        index: Schema.Int,
        codec_type: optionalText,
        codec_name: optionalText,
        width: Schema.optionalKey(Schema.Int),
        height: Schema.optionalKey(Schema.Int),
        sample_aspect_ratio: optionalText,
        disposition: Schema.optionalKey(Schema.Struct({ attached_pic: Schema.optionalKey(Schema.Int) })),
        side_data_list: Schema.optionalKey(Schema.Array(SideData))
      })
    ),
    frames: Schema.optionalKey(
      Schema.Array(Schema.Struct({ side_data_list: Schema.optionalKey(Schema.Array(SideData)) }))
    ),
    format: Schema.optionalKey(Schema.Struct({ duration: optionalText }))
  })
)
const decodeProbed = Schema.decodeUnknownEffect(Probed)

const streamFields =
  "stream=index,codec_type,codec_name,width,height,sample_aspect_ratio:stream_disposition=attached_pic:stream_side_data"

type Readable = Extract<Sniffed, { readonly demuxer: string }>

/** Size, kind and whether ffmpeg may see it at all. */
const admit = Effect.fnUntraced(function* (shop: Shop, task: Task): Effect.fn.Return<Readable, EncoderError> {
  const { bytes, regular, sniffed } = yield* onDisk(task, () => look(task.path)).pipe(
    Effect.catch((error) => {
      const code = (error.cause as NodeJS.ErrnoException | undefined)?.code
      return Effect.fail(code === "ENOENT" ? notMedia(task, "there is no such file", error.cause) : error)
    })
  )
  if (!regular) return yield* notMedia(task, "it is not a file")
  if (bytes === 0) return yield* notMedia(task, "it is empty")
  const { limits } = shop.config
  if (bytes > limits.bytes) return yield* tooLarge(task, `it has ${bytes} bytes, allowed are ${limits.bytes}`)
  switch (sniffed.kind) {
    case "audio":
      return yield* noVideo(task)
    case "reference":
      return yield* refused(task)
    case "unread":
      return yield* notMedia(task, `it is ${sniffed.what}`)
    case "unknown":
      return yield* notMedia(task, "it is no video or picture of a known format")
    default:
      return sniffed
  }
})

const noVideo = (task: Task) =>
  failure(task, "NoVideo", "there is no moving picture in it", "Send it as a sound or photograph, or send the video.")

const ratio = (text: string | undefined) => {
  const [over, under] = (text ?? "").split(":").map(Number)
  return over !== undefined && under !== undefined && over > 0 && under > 0 ? over / under : 1
}

/** Streams and sizes, without reading the whole file. */
export const describe = Effect.fnUntraced(function* (shop: Shop, task: Task): Effect.fn.Return<Medium, EncoderError> {
  const { demuxer, container, kind } = yield* admit(shop, task)
  const { limits, probeTimeout } = shop.config
  const pixels = kind === "image" ? limits.photoPixels : limits.videoPixels
  const finished = yield* attempt(task, {
    program: shop.programs.ffprobe,
    args: [
      ...["-hide_banner", "-v", "warning", "-max_alloc", String(limits.memory)],
      ...["-threads", "1", ...inputGuards(demuxer, pixels)],
      // A few pictures are decoded: a container may lie about their size. For more than that there is no reason yet.
      ...["-read_intervals", kind === "image" ? "%+#1" : "%+#10"],
      ...["-show_entries", `${streamFields}:format=duration:frame=width:frame_side_data`],
      ...["-of", "json=compact=1", "-i", fileUrl(task.path)]
    ],
    timeout: probeTimeout
  })
  const probed = yield* decodeProbed(finished.output).pipe(
    Effect.mapError((error) => notMedia(task, "ffprobe makes no sense of it", error))
  )
  const picture = probed.streams.find(
    (stream) => stream.codec_type === "video" && stream.disposition?.attached_pic !== 1
  )
  if (picture === undefined) return yield* noVideo(task)
  const stored = { width: picture.width ?? 0, height: picture.height ?? 0 }
  // The container may say less than the pictures in it do; then their decoder has complained.
  if (claimsTooMuch(finished.words)) return yield* explain(task, finished.words)
  if (stored.width * stored.height > pixels)
    return yield* tooLarge(task, `it has ${stored.width}×${stored.height} pixels`)
  if (stored.width === 0 || stored.height === 0) return yield* explain(task, finished.words)
  const sound = probed.streams.find((stream) => stream.codec_type === "audio" && stream.codec_name !== undefined)
  const matrix = matrixOf([
    ...(picture.side_data_list ?? []),
    ...(probed.frames ?? []).flatMap((frame) => frame.side_data_list ?? [])
  ])
  const aspect = ratio(picture.sample_aspect_ratio)
  return {
    path: task.path,
    demuxer,
    stream: picture.index,
    hasAudio: kind === "video" && sound !== undefined,
    matrix,
    stretched: aspect !== 1,
    shown: [],
    keys: [],
    info: {
      kind,
      container,
      ...displayed(stored, aspect, matrix),
      duration: kind === "image" ? 0 : Number(probed.format?.duration ?? 0) || 0,
      frameRate: 0,
      videoCodec: picture.codec_name ?? "unknown",
      ...(sound?.codec_name === undefined || kind === "image" ? {} : { audioCodec: sound.codec_name })
    }
  }
})

interface Packets {
  readonly shown: ReadonlyArray<number>
  readonly keys: ReadonlyArray<number>
  /** Seconds from the first picture's moment to the end of the last one's. */
  readonly duration: number
}

/** Lines of `pts,dts,duration,flags`; containers such as AVI know no pts. */
const readPackets = (output: string): Packets => {
  const packets = output.split("\n").flatMap((line) => {
    const [pts = "", dts = "", duration = "", flags = ""] = line.split(",")
    const at = Number.isNaN(Number.parseFloat(pts)) ? Number.parseFloat(dts) : Number.parseFloat(pts)
    // Packets that an edit list cuts away are marked D; nobody sees them.
    return Number.isNaN(at) || flags.includes("D")
      ? []
      : [{ at, length: Number.parseFloat(duration) || 0, key: flags.startsWith("K") }]
  })
  packets.sort((one, other) => one.at - other.at)
  const first = packets[0]
  const last = packets.at(-1)
  if (first === undefined || last === undefined) return { shown: [], keys: [], duration: 0 }
  const usual = packets.length > 1 ? (last.at - first.at) / (packets.length - 1) : 0
  return {
    shown: packets.map((packet) => packet.at),
    keys: packets.filter((packet) => packet.key).map((packet) => packet.at),
    duration: last.at - first.at + (last.length > 0 ? last.length : usual)
  }
}

const round = (value: number) => Math.round(value * 1000) / 1000

/** Everything about a file, its true length included. Reads it once from end to end, decoding nothing. */
export const examine = Effect.fnUntraced(function* (shop: Shop, task: Task): Effect.fn.Return<Medium, EncoderError> {
  const medium = yield* describe(shop, task)
  if (medium.info.kind === "image") return medium
  const { limits, probeTimeout } = shop.config
  const finished = yield* attempt(task, {
    program: shop.programs.ffprobe,
    args: [
      ...["-hide_banner", "-v", "error", "-max_alloc", String(limits.memory), "-threads", "1"],
      ...inputGuards(medium.demuxer, limits.videoPixels),
      ...["-select_streams", String(medium.stream), "-show_entries", "packet=pts_time,dts_time,duration_time,flags"],
      ...["-of", "csv=p=0", "-i", fileUrl(task.path)]
    ],
    timeout: probeTimeout,
    maxOutput: 32 * 1024 * 1024
  })
  const { shown, keys, duration } = readPackets(finished.output)
  if (shown.length === 0) return yield* notMedia(task, "its track of pictures is empty")
  if (duration > limits.seconds)
    return yield* tooLarge(task, `it lasts ${Math.round(duration)} seconds, allowed are ${limits.seconds}`)
  const frameRate = duration > 0 ? round(shown.length / duration) : 0
  return { ...medium, shown, keys, info: { ...medium.info, duration: round(duration), frameRate } }
})
