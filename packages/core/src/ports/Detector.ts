/**
 * Media to findings: what is in a picture, where, and how sure. Used on photographs and on the frames of a video.
 *
 * A detector never guesses: where a character, a class or a border is unsure, `certain` is false, and an inspector decides.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import { PortError } from "./PortError.ts"

export type DetectorReason =
  /** The file is not a picture the detector can read, or is damaged. */
  | "NotMedia"
  /** More pixels or bytes than the detector accepts. */
  | "TooLarge"
  | "Timeout"
  | "Unavailable"

export class DetectorError extends PortError("DetectorError")<DetectorReason> {}

/** One picture: a photograph, or a frame of a video with its moment. */
export interface DetectorFrame {
  /** A file on this machine: JPEG or PNG. */
  readonly path: string
  /** Seconds from the start of the video; absent for a photograph. */
  readonly at?: number
}

/** Pixels of the given frame, from its upper left corner. */
export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export interface Finding {
  /** What was found: `plate`, `face`; other detectors add their own kinds. */
  readonly kind: string
  /** Index into the request's `frames`. */
  readonly frame: number
  readonly at?: number
  readonly box: Box
  /** For a plate: its characters without spaces, upper case; `?` where one could not be read. Absent where none could: a plate is to be hidden all the same. */
  readonly text?: string
  /** ISO 3166-1 alpha-2 of the plate's country when its format says so. */
  readonly country?: string
  /** The name of the national format that the text obeys, as `uz-private`. */
  readonly format?: string
  /** 0–1: how often a finding of this confidence is right. */
  readonly confidence: number
  /** True only when every character is sure and the text obeys a format; such findings are wrong in well under one of twenty. */
  readonly certain: boolean
}

export interface DetectRequest {
  /** Frames of one medium, in order of time: what several of them agree on is surer than one. */
  readonly frames: ReadonlyArray<DetectorFrame>
  /** Countries whose formats are tried first, ISO 3166-1 alpha-2. Default: the plugin's configuration. */
  readonly countries?: ReadonlyArray<string>
  /** Milliseconds after which it gives up with `Timeout`. Default: the plugin's configuration. */
  readonly timeout?: number
}

export class Detector extends Context.Service<
  Detector,
  {
    /** Name and version of the algorithm or model, kept with every finding: `plates/1.0.0`. */
    readonly model: string
    /** Findings of all frames, surest first. No finding is an answer, not an error. */
    readonly detect: (request: DetectRequest) => Effect.Effect<ReadonlyArray<Finding>, DetectorError>
  }
>()("@mahalla/ports/Detector") {}
