/**
 * A way for devices to send readings: an MQTT broker, CoAP, TCP frames.
 *
 * The plugin speaks the protocol and nothing else. It asks the host who a device is, hands over what came as it came, and gives the
 * device its acknowledgement (PUBACK, 2.04, a frame's number) only after `receive` has succeeded: then everything is committed, in
 * the order of arrival. Decoding, validation and dead letters are the host's, so that a mistaken codec can be mended and its messages
 * replayed.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { PortError } from "./PortError.ts"

export type DeviceIngestReason =
  /** Unknown, blocked or expired credentials. */
  | "Unauthorized"
  /** The host or the broker does not answer at the moment; nothing was acknowledged. */
  | "Unavailable"
  /** An address that is taken, a certificate that cannot be read. */
  | "InvalidRequest"

export class DeviceIngestError extends PortError("DeviceIngestError")<DeviceIngestReason> {}

/** What a device shows when it connects. */
export type DeviceCredential =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "basic"; readonly clientId: string; readonly user: string; readonly password: string }
  /** DER certificates of the TLS handshake, the device's own first; the transport has checked that the peer holds its key. */
  | { readonly kind: "x509"; readonly chain: ReadonlyArray<Uint8Array> }

/** A device that has shown its credential. */
export interface DeviceSession {
  /** Host's name of this connection. */
  readonly id: string
  /** The device, a UUID. */
  readonly deviceId: string
  readonly tenantId: string
  /** The tenant's slug and the device's name: what stands in topics. */
  readonly tenant: string
  readonly device: string
  /** May send for devices behind it. */
  readonly gateway: boolean
}

/** Who sent it: a session of ours, or a name that an outside broker vouches for by its own access rules. */
export type Sender =
  | { readonly session: DeviceSession }
  | {
      readonly tenant: string
      readonly device: string
      /** May send for devices behind it. Default: as the device is registered. */
      readonly gateway?: boolean
    }

/** How the bytes are to be read. `profile`: as the device's profile says. */
export type PayloadFormat =
  | "profile"
  /** `{key: value}`, `{ts, values}`, arrays of either; `ts` in epoch milliseconds. ThingsBoard's device API. */
  | "json"
  /** `{device: [{ts, values}]}`: ThingsBoard's gateway API. */
  | "gateway-json"
  /** `{key: value}` that is a state, not a reading. */
  | "attributes"
  /** `{device: {key: value}}`: the same of devices behind a gateway, as ThingsBoard's gateway API has it. */
  | "gateway-attributes"
  /** RFC 8428. */
  | "senml-json"
  | "senml-cbor"
  /** Event JSON of ChirpStack v4 and The Things Stack v3. */
  | "chirpstack"
  | "things-stack"
  /** Eclipse Sparkplug B 3.0; the topic says which message it is. */
  | "sparkplug"

export interface IngestMessage {
  readonly from: Sender
  /** MQTT topic, CoAP or HTTP path, name of a TCP listener; at most 1,024 characters. */
  readonly topic: string
  readonly payload: Uint8Array
  readonly format: PayloadFormat
  /** Epoch milliseconds at which the last byte was here. */
  readonly receivedAt: number
}

/** What became of one message. All three are committed and to be acknowledged; the last two may be told to a device that can hear it. */
export type IngestOutcome =
  | { readonly state: "stored" }
  /**
   * Kept with its bytes and the reason; sending it again does not help. `unlisted`: among the raw messages of some days only, for there are too many in
   * this minute; a sender who keeps its messages does better to send it again a minute later.
   */
  | { readonly state: "dead"; readonly reason: string; readonly unlisted?: true }
  /** Not this sender's to send (another tenant's topic, a blocked device): counted, not kept. */
  | { readonly state: "refused"; readonly reason: string }

/** Something a device is asked to do. */
export interface DeviceCommand {
  /** Ours, a UUID. */
  readonly id: string
  readonly tenant: string
  readonly device: string
  readonly deviceId: string
  readonly method: string
  /** JSON. */
  readonly params: unknown
  /** The device is behind this one, a gateway or edge node: id of a device. Where it cannot be reached itself, its gateway is told. */
  readonly through?: string
  /** Protocol bytes where the host has encoded them already (LoRaWAN, Sparkplug), and where to. */
  readonly raw?: { readonly topic: string; readonly payload: Uint8Array }
  /** Epoch milliseconds after which it must not be handed over. */
  readonly expiresAt: number
}

export type CommandState =
  /** It was left where nobody was there to take it; it waits again, and is offered again later. Only after `sent`. */
  | { readonly state: "queued" }
  /** Left for the device; no word from it yet. */
  | { readonly state: "sent" }
  /** The device's transport has it. */
  | { readonly state: "delivered" }
  /** The device answered. */
  | { readonly state: "answered"; readonly answer: unknown }
  | { readonly state: "failed"; readonly message: string }

/** What a transport may ask of the city. */
export interface IngestHost {
  /** The same time and answer for an unknown device as for a wrong secret. */
  readonly authenticate: (credential: DeviceCredential) => Effect.Effect<DeviceSession, DeviceIngestError>
  /** Fails where the session's credential has been revoked since; asked at least once a minute for what stays connected. */
  readonly renew: (session: DeviceSession) => Effect.Effect<void, DeviceIngestError>
  readonly closed: (session: DeviceSession) => Effect.Effect<void>
  /**
   * Takes messages in their order of arrival; one outcome for each, in the same order, when all are committed. Fails as a whole with
   * `Unavailable`: nothing was committed, send the same again later and acknowledge nothing. At most `maxBatch` at once.
   */
  readonly receive: (
    messages: ReadonlyArray<IngestMessage>
  ) => Effect.Effect<ReadonlyArray<IngestOutcome>, DeviceIngestError>
  readonly maxBatch: number
  /** Larger payloads are refused by the transport, without being read whole. Bytes. */
  readonly maxPayload: number
  /** Commands for devices that this process may reach; never ends by itself. */
  readonly commands: Stream.Stream<DeviceCommand>
  /** `sent` comes before the device hears anything; it fails where the command must not be handed over (any more). */
  readonly commandState: (id: string, state: CommandState) => Effect.Effect<void, DeviceIngestError>
}

export interface IngestListener {
  /** Where devices find it: `mqtt://127.0.0.1:1883`, `coap://…`; empty for a client of an outside broker. */
  readonly addresses: ReadonlyArray<string>
}

export class DeviceIngest extends Context.Service<
  DeviceIngest,
  {
    /** `mqtt`, `coap`, `tcp`, … */
    readonly transport: string
    /** Begins to listen or to consume; the scope's end stops it, after what was received has been acknowledged. */
    readonly serve: (host: IngestHost) => Effect.Effect<IngestListener, DeviceIngestError, Scope.Scope>
  }
>()("@mahalla/ports/DeviceIngest") {}
