/**
 * Commands as transports are given them: as they are for devices that speak to us, in a network's own form for devices behind one. LoRaWAN frames are the
 * work of the profile's codec, else of the network server's.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type { DeviceCommand } from "../../ports/DeviceIngest.ts"
import type { WaitingCommand } from "./commands.ts"
import type { CodecSandbox } from "./decode/codec/sandbox.ts"
import { isRecord, quote } from "./decode/decoding.ts"
import { commandPayload } from "./decode/sparkplug/payload.ts"
import { parseTopic } from "./decode/sparkplug/topic.ts"
import { metricOf } from "./decode/sparkplug/value.ts"
import { commandMark } from "./decode/thingsStack.ts"

/** It can never be sent; says why. */
export class NotEncoded extends Data.TaggedError("NotEncoded")<{ readonly message: string }> {}

const refuse = (message: string) => Effect.fail(new NotEncoded({ message }))

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

/** Port of a frame that the network server's codec makes. */
const defaultPort = 1

/** The frame by the profile's codec; undefined where the network server has to make it. */
const frameOf = (sandbox: CodecSandbox["Service"], { codec, params }: WaitingCommand) =>
  codec === null
    ? Effect.succeed(undefined)
    : sandbox.encodeDownlink(codec, { data: params }).pipe(
        Effect.mapError(({ message }) => new NotEncoded({ message: `${message} (codec ${codec.version})` })),
        // Port 0 is the network's own.
        Effect.filterOrFail(
          ({ fPort }) => fPort > 0,
          () => new NotEncoded({ message: `The codec gave no fPort from 1 to 255 (codec ${codec.version}).` })
        )
      )

const objectOf = ({ params }: WaitingCommand) =>
  isRecord(params)
    ? Effect.succeed(params)
    : refuse("A command to a device without a codec needs params that are an object for the network server's codec.")

/** DownlinkCommand of ChirpStack v4: its events `txack` and `ack` come back with our id. */
const chirpstack = Effect.fnUntraced(function* (sandbox: CodecSandbox["Service"], waiting: WaitingCommand) {
  const frame = yield* frameOf(sandbox, waiting)
  const [, devEui] = /\/device\/([^/]+)\//.exec(waiting.downlink ?? "") ?? []
  const common = { id: waiting.id, devEui, confirmed: true }
  return bytes(
    frame === undefined
      ? { ...common, fPort: defaultPort, object: yield* objectOf(waiting) }
      : { ...common, fPort: frame.fPort, data: Base64.encode(frame.bytes) }
  )
})

/** A push of The Things Stack v3: what becomes of it comes back with our correlation id. */
const thingsStack = Effect.fnUntraced(function* (sandbox: CodecSandbox["Service"], waiting: WaitingCommand) {
  const frame = yield* frameOf(sandbox, waiting)
  const common = { confirmed: true, priority: "NORMAL", correlation_ids: [`${commandMark}${waiting.id}`] }
  return bytes({
    downlinks: [
      frame === undefined
        ? { ...common, f_port: defaultPort, decoded_payload: yield* objectOf(waiting) }
        : { ...common, f_port: frame.fPort, frm_payload: Base64.encode(frame.bytes) }
    ]
  })
})

/** Metrics of an NCMD or DCMD, of the types that the birth has told: those of `params`, or the one that the method names. */
const sparkplug = Effect.fnUntraced(function* ({ downlink, method, node, params }: WaitingCommand, now: number) {
  const { device = "" } = parseTopic(downlink ?? "") ?? {}
  const values = isRecord(params) ? Object.entries(params) : [[method, params] as const]
  const metrics = yield* Effect.forEach(values, ([name, value]) => {
    const type = node?.types[`${device}/${name}`]
    if (type === undefined) return refuse(`The birth has no metric ${quote(name)}.`)
    const metric = metricOf(name, type, value)
    return metric === undefined
      ? refuse(`The value of ${quote(name)} is none of its type (Sparkplug's data type ${type}).`)
      : Effect.succeed(metric)
  })
  return metrics.length === 0 ? yield* refuse("The command has no metric.") : commandPayload(metrics, now)
})

/** Undefined while there is nobody to be told: an edge node that is away. */
export const encodeCommand = Effect.fnUntraced(function* (
  sandbox: CodecSandbox["Service"],
  waiting: WaitingCommand,
  now: number
) {
  const { device, deviceId, downlink, expiresAt, id, method, node, params, parentId, tenant } = waiting
  const command: DeviceCommand = {
    ...{ id, tenant, device, deviceId, method, params, expiresAt: expiresAt.getTime() },
    ...(parentId === null ? {} : { through: parentId })
  }
  if (downlink === null) return command
  if (downlink.startsWith("application/"))
    return { ...command, raw: { topic: downlink, payload: yield* chirpstack(sandbox, waiting) } }
  if (downlink.startsWith("v3/"))
    return { ...command, raw: { topic: downlink, payload: yield* thingsStack(sandbox, waiting) } }
  if (node?.online !== true) return undefined
  return { ...command, raw: { topic: downlink, payload: yield* sparkplug(waiting, now) } }
})
