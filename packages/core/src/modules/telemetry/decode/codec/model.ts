/**
 * Payload codecs of LoRaWAN devices by the LoRa Alliance's contract TS013-1.0.0, as ChirpStack and The Things Stack run them: a script with
 * the functions `decodeUplink`, `encodeDownlink` and `decodeDownlink`. ChirpStack's older `Decode(fPort, bytes, variables)` and
 * `Encode(fPort, data, variables)` are taken where the new ones are missing.
 */
import * as Data from "effect/Data"

/** A codec is data of a device profile. */
export interface Codec {
  /** JavaScript, at most 256 KiB. */
  readonly source: string
  /** Stands beside what it decoded and in its dead letters. */
  readonly version: string
}

export interface UplinkInput {
  readonly bytes: ReadonlyArray<number>
  /** 0–255. */
  readonly fPort: number
  /** Epoch milliseconds; the codec sees a Date, and no other clock. */
  readonly recvTime: number
  /** Settings of the device. */
  readonly variables?: Readonly<Record<string, string>>
}

export interface DownlinkInput {
  readonly data: unknown
  /** Default 1; only the older `Encode` asks for it. */
  readonly fPort?: number
  readonly variables?: Readonly<Record<string, string>>
}

export type CodecCall =
  | { readonly function: "decodeUplink" | "decodeDownlink"; readonly input: UplinkInput }
  | { readonly function: "encodeDownlink"; readonly input: DownlinkInput }

/** What a codec made of bytes. */
export interface Decoded {
  readonly data: Readonly<Record<string, unknown>>
  readonly warnings: ReadonlyArray<string>
}

/** Bytes for a device. */
export interface Encoded {
  readonly bytes: Uint8Array
  readonly fPort: number
  readonly warnings: ReadonlyArray<string>
}

export class CodecFailure extends Data.TaggedError("CodecFailure")<{
  readonly reason: "codec-failed" | "codec-too-slow"
  /** What the codec said, or what it did wrong. */
  readonly message: string
}> {}
