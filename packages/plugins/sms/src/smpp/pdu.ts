/**
 * Protocol data units of SMPP 3.4, as far as a sender of messages needs them: frames, binds, submit_sm and deliver_sm, which have one
 * layout. Fields are named as in the specification.
 */
import { randomInt } from "node:crypto"

export const command = {
  generic_nack: 0x8000_0000,
  bind_receiver: 0x01,
  bind_transmitter: 0x02,
  submit_sm: 0x04,
  deliver_sm: 0x05,
  unbind: 0x06,
  bind_transceiver: 0x09,
  enquire_link: 0x15
} as const

/** The answer to a command. */
export const answerTo = (id: number): number => (id | 0x8000_0000) >>> 0
export const isAnswer = (id: number): boolean => id >= 0x8000_0000

export const status = {
  ok: 0,
  invalidCommand: 0x03,
  systemError: 0x08,
  invalidSource: 0x0a,
  invalidDestination: 0x0b,
  bindFailed: 0x0d,
  invalidPassword: 0x0e,
  invalidSystemId: 0x0f,
  queueFull: 0x14,
  submitFailed: 0x45,
  throttled: 0x58,
  temporary: 0x64
} as const

export interface Pdu {
  readonly id: number
  readonly status: number
  readonly sequence: number
  readonly body: Uint8Array
}

const headSize = 16
/** Longer ones are no SMPP: the connection is out of step or hostile. */
const largest = 65_536

export const encode = ({ body, id, sequence, status: said }: Pdu): Buffer => {
  const frame = Buffer.alloc(headSize + body.length)
  frame.writeUInt32BE(frame.length, 0)
  frame.writeUInt32BE(id, 4)
  frame.writeUInt32BE(said, 8)
  frame.writeUInt32BE(sequence, 12)
  frame.set(body, headSize)
  return frame
}

/** Takes bytes as they come and gives whole units; throws on what cannot be one. */
export class Frames {
  private rest: Buffer = Buffer.alloc(0)

  push(bytes: Buffer): ReadonlyArray<Pdu> {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes])
    const units: Array<Pdu> = []
    while (this.rest.length >= headSize) {
      const length = this.rest.readUInt32BE(0)
      if (length < headSize || length > largest) throw new Error(`A unit of ${length} bytes is no SMPP.`)
      if (this.rest.length < length) break
      units.push({
        id: this.rest.readUInt32BE(4),
        status: this.rest.readUInt32BE(8),
        sequence: this.rest.readUInt32BE(12),
        body: this.rest.subarray(headSize, length)
      })
      this.rest = this.rest.subarray(length)
    }
    return units
  }
}

class Writer {
  private readonly pieces: Array<Uint8Array> = []
  /** C-octet string. */
  text(value: string) {
    this.pieces.push(Buffer.from(`${value}\0`, "latin1"))
    return this
  }
  octets(...values: ReadonlyArray<number>) {
    this.pieces.push(Uint8Array.from(values))
    return this
  }
  bytes(value: Uint8Array) {
    this.pieces.push(value)
    return this
  }
  done(): Buffer {
    return Buffer.concat(this.pieces)
  }
}

class Reader {
  private at = 0
  private readonly body: Buffer
  constructor(body: Uint8Array) {
    this.body = Buffer.from(body.buffer, body.byteOffset, body.length)
  }
  text(): string {
    const end = this.body.indexOf(0, this.at)
    if (end < 0) throw new Error("A string of the unit has no end.")
    const value = this.body.toString("latin1", this.at, end)
    this.at = end + 1
    return value
  }
  octet(): number {
    return this.body.readUInt8(this.at++)
  }
  bytes(length: number): Buffer {
    if (this.at + length > this.body.length) throw new Error("The unit is shorter than it says.")
    return this.body.subarray(this.at, (this.at += length))
  }
  /** Optional parameters by tag. */
  options(): ReadonlyMap<number, Buffer> {
    const options = new Map<number, Buffer>()
    while (this.at + 4 <= this.body.length) {
      const tag = this.body.readUInt16BE(this.at)
      const length = this.body.readUInt16BE(this.at + 2)
      this.at += 4
      options.set(tag, this.bytes(length))
    }
    return options
  }
}

export interface Bind {
  readonly system_id: string
  readonly password: string
  readonly system_type: string
}

export const encodeBind = ({ password, system_id, system_type }: Bind): Buffer =>
  new Writer().text(system_id).text(password).text(system_type).octets(0x34, 0, 0).text("").done()

export const decodeBind = (body: Uint8Array): Bind => {
  const reader = new Reader(body)
  return { system_id: reader.text(), password: reader.text(), system_type: reader.text() }
}

export interface Address {
  readonly ton: number
  readonly npi: number
  readonly addr: string
}

/** submit_sm or deliver_sm. */
export interface ShortMessage {
  readonly source: Address
  readonly destination: Address
  /** 0x40: the message begins with a header. 0x04: a delivery receipt. */
  readonly esm_class: number
  readonly priority_flag: number
  /** `YYMMDDhhmmsstnnp`, or empty for the centre's own. */
  readonly validity_period: string
  readonly registered_delivery: number
  readonly data_coding: number
  readonly short_message: Uint8Array
}

export const option = { receipted_message_id: 0x1e, message_payload: 0x424, message_state: 0x427 } as const

export const encodeMessage = (
  message: ShortMessage,
  options: ReadonlyArray<readonly [tag: number, value: Uint8Array]> = []
): Buffer => {
  const { destination, short_message, source } = message
  const writer = new Writer().text("")
  for (const { addr, npi, ton } of [source, destination]) writer.octets(ton, npi).text(addr)
  writer.octets(message.esm_class, 0, message.priority_flag).text("").text(message.validity_period)
  writer.octets(message.registered_delivery, 0, message.data_coding, 0, short_message.length).bytes(short_message)
  for (const [tag, value] of options)
    writer.octets(tag >> 8, tag & 0xff, value.length >> 8, value.length & 0xff).bytes(value)
  return writer.done()
}

/** Throws on what is cut off. */
export const decodeMessage = (body: Uint8Array): ShortMessage & { readonly options: ReadonlyMap<number, Buffer> } => {
  const reader = new Reader(body)
  reader.text()
  const address = (): Address => ({ ton: reader.octet(), npi: reader.octet(), addr: reader.text() })
  const [source, destination] = [address(), address()]
  const [esm_class, , priority_flag] = [reader.octet(), reader.octet(), reader.octet()]
  reader.text()
  const validity_period = reader.text()
  const registered_delivery = reader.octet()
  reader.octet()
  const data_coding = reader.octet()
  reader.octet()
  const short_message = reader.bytes(reader.octet())
  return {
    source,
    destination,
    esm_class,
    priority_flag,
    validity_period,
    registered_delivery,
    data_coding,
    short_message,
    options: reader.options()
  }
}

/** The one string of an answer: message_id, or the centre's system_id. Some centres leave it out. */
export const textOf = (body: Uint8Array): string => {
  const end = body.indexOf(0)
  return Buffer.from(end < 0 ? body : body.subarray(0, end)).toString("latin1")
}

export const encodeText = (value: string): Buffer => new Writer().text(value).done()

/** Sequence numbers of one connection; they begin anywhere, so that answers of an earlier connection fit nothing. */
export const sequences = (): (() => number) => {
  let last = randomInt(1, 1_000_000)
  return () => (last = last >= 0x7fff_ffff ? 1 : last + 1)
}
