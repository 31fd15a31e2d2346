/**
 * Video and photographs into the few shapes the engine serves. Works on files of this machine, because decoders must seek.
 *
 * Every method has bounded time, memory and output, reads nothing but its input file, and leaves no output behind when it fails.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import { PortError } from "./PortError.ts"

export type EncoderReason =
  /** Not audio, video or a picture; empty, truncated beyond use, or mislabelled. */
  | "NotMedia"
  /** A container without a picture in it. */
  | "NoVideo"
  /** More pixels, seconds or bytes than allowed: a decompression bomb or simply too long. */
  | "TooLarge"
  /** A playlist or reference that points outside the file. */
  | "Refused"
  | "Timeout"
  /** The encoder died or could not be started; another try may work. */
  | "Unavailable"
  /** No space for the output. */
  | "Full"

export class EncoderError extends PortError("EncoderError")<EncoderReason> {}

export interface MediaInfo {
  readonly kind: "video" | "image"
  /** Container as the encoder names it: `mp4`, `matroska`, `jpeg`. */
  readonly container: string
  /** As displayed, after rotation. Pixels. */
  readonly width: number
  readonly height: number
  /** Seconds; 0 for a picture. */
  readonly duration: number
  /** Frames per second; 0 for a picture. */
  readonly frameRate: number
  readonly videoCodec: string
  readonly audioCodec?: string
}

export interface EncodedFrame {
  readonly path: string
  /** Seconds from the start. */
  readonly at: number
}

/** A part of the picture that nobody can recognise in what is made. Nothing of it is left in the output, so nobody can bring it back. */
export interface BlurRegion {
  /** Pixels of the input as displayed, in full size: what `probe` and `frames` count in. What lies outside the picture is left out. */
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
  /** Seconds from the start of a video, both included. Default: from the start, to the end. */
  readonly from?: number
  readonly to?: number
}

/** Regions that one call takes; more are `TooLarge`. */
export const maxBlurRegions = 500

export class Encoder extends Context.Service<
  Encoder,
  {
    /** Name and version, kept with every copy: `ffmpeg/5.1.9`. */
    readonly model: string
    readonly probe: (input: string) => Effect.Effect<MediaInfo, EncoderError>
    /**
     * The standard copy: MP4, H.264 high with AAC, at most 720 lines, `faststart`, no metadata of the original
     * (place, device, owner). `onProgress` hears 0–1.
     */
    readonly transcode: (request: {
      readonly input: string
      readonly output: string
      readonly blur?: ReadonlyArray<BlurRegion>
      readonly onProgress?: (done: number) => void
    }) => Effect.Effect<MediaInfo, EncoderError>
    /**
     * One JPEG of at most 1280×720 that stands for the medium, without metadata. For a picture: the picture itself.
     * Of a video it is the encoder's choice which moment it shows: every region is blurred, whatever its time.
     */
    readonly poster: (request: {
      readonly input: string
      readonly output: string
      readonly blur?: ReadonlyArray<BlurRegion>
    }) => Effect.Effect<MediaInfo, EncoderError>
    /**
     * JPEG frames at the given seconds, in full size, named `0001.jpg` onwards in `directory`.
     * Moments past the end give no frame.
     */
    readonly frames: (request: {
      readonly input: string
      readonly directory: string
      readonly at: ReadonlyArray<number>
      readonly blur?: ReadonlyArray<BlurRegion>
    }) => Effect.Effect<ReadonlyArray<EncodedFrame>, EncoderError>
  }
>()("@mahalla/ports/Encoder") {}
