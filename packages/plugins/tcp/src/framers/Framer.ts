/**
 * How messages stand in a stream of bytes. One framer for each protocol of a logger; it knows bytes and nothing of the city.
 */
import type { CommandState, DeviceCommand, PayloadFormat } from "@mahalla/core/plugin"

/** What a device has said. */
export type Frame =
  /** The first one: who it is. */
  | { readonly kind: "hello"; readonly token: string }
  | { readonly kind: "message"; readonly payload: Uint8Array }
  | { readonly kind: "answer"; readonly id: string; readonly state: CommandState }
  /** It is there and has nothing to say. */
  | { readonly kind: "alive" }
  /** Nothing after it can be understood. `reason` for operators. */
  | { readonly kind: "broken"; readonly reason: "size" | "frame" }

export interface Framing {
  /** Frames that end in this piece, in order; none after a broken one. Keeps at most one frame of `maxPayload` bytes. */
  readonly read: (piece: Uint8Array) => ReadonlyArray<Frame>
  /** True in the middle of a frame. */
  readonly begun: () => boolean
}

export interface Framer {
  readonly format: PayloadFormat
  readonly open: (maxPayload: number) => Framing
  /** As many messages of this connection as `count` are committed; also said in answer to the hello, with 0. */
  readonly acknowledge: (count: number) => Uint8Array
  /** The last words of a connection. */
  readonly refuse: Uint8Array
  /** Where the protocol can carry commands. */
  readonly command?: (command: DeviceCommand) => Uint8Array
}

/** Bytes of the first frame; a device has shown nothing yet when it sends it. */
export const helloBytes = 1_024
