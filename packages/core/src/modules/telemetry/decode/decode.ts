/**
 * From bytes to readings, whatever the format. `decode` is pure and does what needs no codec; `decodeWith` runs the codec too.
 * Sparkplug is apart (`sparkplug/step.ts`): what one of its messages means depends on those before.
 */
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type { IngestMessage, PayloadFormat } from "../../../ports/DeviceIngest.ts"
import { decodeChirpstack } from "./chirpstack.ts"
import type { Codec } from "./codec/model.ts"
import type { CodecSandbox } from "./codec/sandbox.ts"
import { type DecodeFailure, type Decoding, failed } from "./decoding.ts"
import { decodeSenmlCbor, decodeSenmlJson } from "./senml.ts"
import { decodeAttributes, decodeGateway, decodeGatewayAttributes, decodeTelemetry } from "./thingsboard.ts"
import { decodeThingsStack } from "./thingsStack.ts"
import { isUplink, type Uplink, uplinkOf } from "./uplink.ts"

export interface DecodeContext {
  /** The sender may speak for devices behind it. */
  readonly gateway: boolean
}

/** A message whose meaning does not depend on those before it. */
export interface StatelessMessage extends IngestMessage {
  readonly format: Exclude<PayloadFormat, "sparkplug">
}

type Decoder = (message: IngestMessage, context: DecodeContext) => Result.Result<Decoding | Uplink, DecodeFailure>

/** Frames of a protocol of the vendor's own, as a TCP listener hands them over: the codec sees them as of port 1. */
const decodeFrame: Decoder = ({ payload, receivedAt }) =>
  uplinkOf({ place: { at: receivedAt }, bytes: payload, fPort: 1 })

const decoders: Readonly<Record<StatelessMessage["format"], Decoder>> = {
  profile: decodeFrame,
  json: decodeTelemetry,
  "gateway-json": decodeGateway,
  attributes: decodeAttributes,
  "gateway-attributes": decodeGatewayAttributes,
  "senml-json": (message, { gateway }) => decodeSenmlJson(message, gateway),
  "senml-cbor": (message, { gateway }) => decodeSenmlCbor(message, gateway),
  chirpstack: decodeChirpstack,
  "things-stack": decodeThingsStack
}

/** Never throws. An `Uplink` is what a codec must still read; `profile` is one where the device's profile names no format. */
export const decode = (
  message: StatelessMessage,
  context: DecodeContext
): Result.Result<Decoding | Uplink, DecodeFailure> => decoders[message.format](message, context)

/**
 * Decodes a message to the end. `codecOf` finds the codec of a device's profile, `undefined` being the sender itself; where there is none,
 * what the network server decoded is taken. Fails as `codec-failed` where nobody can read the bytes.
 */
export const decodeWith = <E, R>(
  message: StatelessMessage,
  context: DecodeContext,
  sandbox: CodecSandbox["Service"],
  codecOf: (device: string | undefined) => Effect.Effect<Codec | undefined, E, R>
): Effect.Effect<Decoding, DecodeFailure | E, R> =>
  Effect.gen(function* () {
    const decoded = yield* Effect.fromResult(decode(message, context))
    if (!isUplink(decoded)) return decoded
    const codec = yield* codecOf(decoded.device)
    if (codec !== undefined) {
      const { data, warnings } = yield* sandbox.decodeUplink(codec, decoded.input).pipe(
        Effect.mapError(({ message: said, reason }): DecodeFailure => ({
          reason,
          message: `${said} (codec ${codec.version})`
        }))
      )
      return yield* Effect.fromResult(decoded.apply(data, warnings))
    }
    if (decoded.object !== undefined) return yield* Effect.fromResult(decoded.apply(decoded.object))
    return yield* Effect.fromResult(
      failed("codec-failed", "The device's profile has no codec, and the network server decoded nothing.")
    )
  })
