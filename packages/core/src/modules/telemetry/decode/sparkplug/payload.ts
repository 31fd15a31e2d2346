/**
 * The protobuf payload of Sparkplug B 3.0 (sparkplug_b.proto, section 6.4), as far as a host reads it. Data sets and templates stay bytes:
 * they nest without end, and nothing here looks into them.
 */
import Long from "long"
import protobuf from "protobufjs/light.js"
import * as Result from "effect/Result"
import { type DecodeFailure, failed, maxBytes } from "../decoding.ts"

// protobufjs finds it by itself, but not in a program of one file; without it 64 bits are rounded to a double.
protobuf.util.Long = Long
protobuf.configure()

const field = (id: number, type: string) => ({ id, type })

/** As in proto2, which Sparkplug's schema is: a zero that was sent is a value, a field that was not sent is none. */
const options = { features: { field_presence: "EXPLICIT" } }

const root = protobuf.Root.fromJSON({
  nested: {
    Payload: {
      options,
      fields: {
        timestamp: field(1, "uint64"),
        metrics: { ...field(2, "Metric"), rule: "repeated" },
        seq: field(3, "uint64")
      }
    },
    Metric: {
      options,
      fields: {
        name: field(1, "string"),
        alias: field(2, "uint64"),
        timestamp: field(3, "uint64"),
        datatype: field(4, "uint32"),
        isHistorical: field(5, "bool"),
        isTransient: field(6, "bool"),
        isNull: field(7, "bool"),
        intValue: field(10, "uint32"),
        longValue: field(11, "uint64"),
        floatValue: field(12, "float"),
        doubleValue: field(13, "double"),
        booleanValue: field(14, "bool"),
        stringValue: field(15, "string"),
        bytesValue: field(16, "bytes"),
        datasetValue: field(17, "bytes"),
        templateValue: field(18, "bytes"),
        extensionValue: field(19, "bytes")
      }
    }
  }
})
const payloadType = root.lookupType("Payload")

/** A field that is not in the message is not in the object. */
export interface Metric {
  readonly name?: string
  readonly alias?: Long
  readonly timestamp?: Long
  readonly datatype?: number
  readonly isHistorical?: boolean
  readonly isTransient?: boolean
  readonly isNull?: boolean
  readonly intValue?: number
  readonly longValue?: Long
  readonly floatValue?: number
  readonly doubleValue?: number
  readonly booleanValue?: boolean
  readonly stringValue?: string
}

export interface Payload {
  readonly timestamp?: Long
  readonly seq?: Long
  readonly metrics: ReadonlyArray<Metric>
}

/** All 64 bits, without a sign. */
export const bits = ({ low, high }: Pick<Long, "low" | "high">): bigint =>
  (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)

export const decodePayload = (bytes: Uint8Array): Result.Result<Payload, DecodeFailure> => {
  if (bytes.length > maxBytes) return failed("too-large", `A message has at most ${maxBytes} bytes.`)
  try {
    // Own properties only: what the message leaves out must not look like a zero.
    const { metrics, ...rest } = { metrics: [], ...payloadType.decode(bytes) } as unknown as Payload
    return Result.succeed({ ...rest, metrics: metrics.map((metric) => ({ ...metric })) })
  } catch {
    return failed("malformed", "The payload is not Sparkplug's protobuf.")
  }
}

/** A metric as it is sent: each has a name, and its value or `isNull`. */
export type CommandMetric = Omit<Metric, "alias" | "timestamp"> & { readonly name: string; readonly datatype: number }

/** A command's payload. Commands have no `seq`. */
export const commandPayload = (metrics: ReadonlyArray<CommandMetric>, at: number): Uint8Array =>
  payloadType.encode({ timestamp: at, metrics: metrics.map((metric) => ({ ...metric, timestamp: at })) }).finish()

/** `Node Control/Rebirth` = true. */
export const rebirthPayload = (at: number): Uint8Array =>
  commandPayload([{ name: "Node Control/Rebirth", datatype: 11, booleanValue: true }], at)
