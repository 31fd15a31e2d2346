/**
 * What stands in the edge's log. A frame is the length of its body, CRC-32C of the body, and the body; numbers are little-endian. The first frame of a
 * segment is the clock by which its records were stamped, all others are messages of devices.
 */
import type { PayloadFormat } from "@mahalla/core/plugin"
import { crc32c } from "./crc32c.ts"

/** One message, as it came. */
export interface EdgeRecord {
  readonly device: string
  /** The sender may speak for devices behind it. */
  readonly gateway: boolean
  readonly format: PayloadFormat
  /** Epoch milliseconds by the edge's own clock. */
  readonly receivedAt: number
  readonly payload: Uint8Array
}

/** Two clocks at one moment: the one that people set, and the one that only runs. Milliseconds. */
export interface Moment {
  readonly wall: number
  /** Since the machine was started. */
  readonly uptime: number
  /** Another one after each start of the machine. */
  readonly boot: string
}

/** Their places stand on disk: new ones go to the end. */
const formats: ReadonlyArray<PayloadFormat> = [
  "profile",
  "json",
  "gateway-json",
  "attributes",
  "senml-json",
  "senml-cbor",
  "chirpstack",
  "things-stack",
  "sparkplug",
  "gateway-attributes"
]

/** Beside the format: the sender is no gateway. Where it is not set, it may be a record of before, which did not say. */
const plain = 0x80

/** Bytes of a message that is taken. */
export const maxPayload = 262_144
/** Of a frame. */
export const maxFrame = maxPayload + 512
const head = 8
/** A body is never shorter: a stretch of zeros is no frame. */
const shortest = 10

const frame = (body: number, write: (into: Buffer) => void): Buffer => {
  const bytes = Buffer.allocUnsafe(head + body)
  const inside = bytes.subarray(head)
  write(inside)
  bytes.writeUInt32LE(body, 0)
  bytes.writeUInt32LE(crc32c(inside), 4)
  return bytes
}

export const frameOf = ({ device, format, gateway, payload, receivedAt }: EdgeRecord): Buffer => {
  const name = Buffer.from(device)
  return frame(shortest + name.length + payload.length, (into) => {
    into.writeDoubleLE(receivedAt, 0)
    into.writeUInt8(formats.indexOf(format) | (gateway ? 0 : plain), 8)
    into.writeUInt8(name.length, 9)
    into.set(name, shortest)
    into.set(payload, shortest + name.length)
  })
}

export const frameOfMoment = (moment: Moment): Buffer => {
  const text = Buffer.from(JSON.stringify(moment))
  return frame(text.length, (into) => into.set(text))
}

/** Body of the frame at `at`; `short` where it goes on beyond what was given, `bad` where there is none. */
export const bodyAt = (bytes: Buffer, at: number): Buffer | "short" | "bad" => {
  if (at + head > bytes.length) return "short"
  const length = bytes.readUInt32LE(at)
  if (length < shortest || length > maxFrame - head) return "bad"
  if (at + head + length > bytes.length) return "short"
  const body = bytes.subarray(at + head, at + head + length)
  return crc32c(body) === bytes.readUInt32LE(at + 4) ? body : "bad"
}

export const endOf = (at: number, body: Buffer): number => at + head + body.length

export const recordOf = (body: Buffer): EdgeRecord => {
  const end = shortest + body.readUInt8(9)
  const kind = body.readUInt8(8)
  return {
    receivedAt: body.readDoubleLE(0),
    format: formats[kind & ~plain] ?? "profile",
    gateway: (kind & plain) === 0,
    device: body.toString("utf8", shortest, end),
    payload: body.subarray(end)
  }
}

export const momentOf = (body: Buffer): Moment | undefined => {
  const { boot, uptime, wall } = JSON.parse(body.toString("utf8")) as Partial<Moment>
  return typeof wall === "number" && typeof uptime === "number" && typeof boot === "string"
    ? { wall, uptime, boot }
    : undefined
}

/** Where the next whole frame begins, from `from` on. */
export const nextFrame = (bytes: Buffer, from: number): number | undefined => {
  for (let at = from; at + head + shortest <= bytes.length; at++) if (typeof bodyAt(bytes, at) !== "string") return at
  return undefined
}
