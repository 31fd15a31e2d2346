/**
 * A device's bytes that a codec has to read. Decoding them takes two steps, as only the first one says whose profile has the codec: a
 * decoder of ChirpStack's or The Things Stack's JSON answers with an `Uplink`, and `apply` takes what the codec, or the network server's own,
 * made of it.
 */
import * as Result from "effect/Result"
import type { UplinkInput } from "./codec/model.ts"
import { readBatch } from "./batch.ts"
import {
  type DecodeFailure,
  type Decoding,
  type DecodeResult,
  failed,
  gather,
  type Gathering,
  isRecord,
  type Place,
  quote
} from "./decoding.ts"

export interface Uplink {
  /** Undefined: the sender itself. */
  readonly device: string | undefined
  readonly input: UplinkInput
  /** What the network server's codec made of it, where one ran. */
  readonly object: Readonly<Record<string, unknown>> | undefined
  /**
   * A codec's data as readings. Objects and arrays in it are walked, with the path as key (`channel.0.level`); texts become
   * attributes. A codec that knows of several times returns our own batch: `{readings: [{key, at, value}]}`.
   */
  readonly apply: (data: Readonly<Record<string, unknown>>, warnings?: ReadonlyArray<string>) => DecodeResult
}

export const isUplink = (decoded: Decoding | Uplink): decoded is Uplink => "apply" in decoded

const maxDepth = 8

const walk = (into: Gathering, place: Place, name: string, value: unknown, depth: number): void => {
  if (value === null) into.warn(`${quote(name)} is null.`)
  else if (typeof value === "string") into.attribute(place, name, value)
  else if (typeof value !== "object") into.reading(place, name, value)
  else if (depth === maxDepth) into.reject("malformed", `${quote(name)} is too deep.`, { device: place.device })
  else
    for (const [key, inner] of Object.entries(value))
      walk(into, place, name === "" ? key : `${name}.${key}`, inner, depth + 1)
}

/** Bytes of one frame. LoRaWAN's have at most 242. */
const maxFrame = 65_536

/**
 * The uplink of a frame, or what is decoded already: a frame may carry nothing but word that the device is alive. `about` says what the
 * message tells beside the bytes.
 */
export const uplinkOf = (options: {
  readonly place: Place
  readonly bytes: Uint8Array
  readonly fPort: number
  /** What the network server's codec made of it. */
  readonly object?: unknown
  readonly about?: (into: Gathering) => void
}): Result.Result<Decoding | Uplink, DecodeFailure> => {
  const { bytes, fPort, place } = options
  const object = isRecord(options.object) ? options.object : undefined
  const apply: Uplink["apply"] = (data, warnings = []) => {
    const into = gather()
    options.about?.(into)
    for (const warning of warnings) into.warn(warning)
    if (Array.isArray(data["readings"])) readBatch(into, data["readings"], place)
    else walk(into, place, "", data, 0)
    return into.done()
  }
  if (bytes.length > maxFrame) return failed("too-large", `A frame has at most ${maxFrame} bytes.`)
  if (bytes.length === 0 && object === undefined) return apply({})
  const input = { bytes: Array.from(bytes), fPort, recvTime: place.at }
  return Result.succeed({ device: place.device, input, object, apply })
}

/** Reception at the best of the gateways that heard it. */
export const best = (receivers: unknown): { readonly rssi?: number; readonly snr?: number } => {
  const heard = (Array.isArray(receivers) ? (receivers as ReadonlyArray<unknown>) : [])
    .filter(isRecord)
    .filter((one): one is { readonly rssi: number; readonly snr?: unknown } => Number.isFinite(one["rssi"]))
  const strongest = heard.reduce<(typeof heard)[number] | undefined>(
    (a, b) => (a === undefined || b.rssi > a.rssi ? b : a),
    undefined
  )
  if (strongest === undefined) return {}
  // Both servers leave out what is zero.
  const { rssi, snr = 0 } = strongest
  return { rssi, ...(typeof snr === "number" ? { snr } : {}) }
}
