/** What the suite needs of a transport's other end: a device that speaks its protocol. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DeviceCredential, IngestListener } from "../ports/DeviceIngest.ts"

/**
 * What a device hears of a message. `refused`: it was told no, or lost its connection over it. `unanswered`: the connection ended first,
 * or it was told to come again later.
 */
export type Heard = "acknowledged" | "refused" | "unanswered"

/** It was not let in. */
export class NotLetIn extends Data.TaggedError("NotLetIn")<{
  /** All that the transport told it. */
  readonly told: string
}> {}

/** One connection of one device. */
export interface DeviceWire {
  /** Sends one message of the format `json`. `as`: where it would go if it were that device's. Written as soon as the effect starts. */
  readonly send: (
    payload: Uint8Array,
    as?: { readonly tenant: string; readonly device: string }
  ) => Effect.Effect<Heard>
  /** Sends over and over until the transport takes no more for a second, or `most` bytes have left; tells how many bytes left. */
  readonly flood: (payload: Uint8Array, most: number) => Effect.Effect<number>
  /** The next command that arrives; the device confirms it as its protocol does, and answers `{ "done": true }` where it can. */
  readonly command: Effect.Effect<{ readonly method: string; readonly params: unknown }>
}

export class DeviceIngestDriver extends Context.Service<
  DeviceIngestDriver,
  {
    /**
     * What the protocol does not know. `credentials`: somebody else lets devices in. `topics`: a device can name nobody but itself.
     * `commands`: nothing is sent to devices. `answers`: a device cannot answer a command. `pipelining`: a device sends its next message
     * when it has heard of the last one. `connections`: each message stands alone, nobody comes or goes. `sizes`: somebody else keeps large payloads away. `waiting`: a
     * device is not made to wait but told to come again.
     */
    readonly lacks: ReadonlyArray<
      "credentials" | "topics" | "commands" | "answers" | "pipelining" | "connections" | "sizes" | "waiting"
    >
    readonly connect: (
      listener: IngestListener,
      credential: DeviceCredential
    ) => Effect.Effect<DeviceWire, NotLetIn, Scope.Scope>
  }
>()("@mahalla/testing/DeviceIngestDriver") {}
