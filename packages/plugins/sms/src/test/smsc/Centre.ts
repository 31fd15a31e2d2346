/**
 * An operator's SMS centre that speaks SMPP 3.4: takes messages, puts their parts together, hands them to whoever is bound as `phones`, and
 * reports. Everything it took is in its file before it answers.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import {
  answerTo,
  command,
  decodeBind,
  decodeMessage,
  encode,
  encodeMessage,
  encodeText,
  Frames,
  isAnswer,
  option,
  type Pdu,
  sequences,
  type ShortMessage,
  status
} from "../../smpp/pdu.ts"
import { fromSeptets } from "../../text/gsm7.ts"
import { Faults } from "../faults.ts"

export const faultNames = [
  /** For once all is well. */
  "none",
  "lost-before",
  "lost-after",
  "silent",
  "slow",
  "refused",
  "rate-limited",
  "queue-full",
  "unavailable",
  "early-receipt",
  "double-receipt",
  "no-receipt"
] as const
export type FaultName = (typeof faultNames)[number]

/** How this centre reports. */
export interface Manner {
  /** Of the id in the answer to a message, and of the one in its receipt. */
  readonly notation: readonly ["hex" | "dec", "hex" | "dec"]
  readonly state: "DELIVRD" | "EXPIRED" | "UNDELIV"
  /** Text as most write it, or optional parameters. */
  readonly form: "text" | "options"
  /** Milliseconds until a phone has it; null: when somebody bound as `phones` has taken it, or at `release`. */
  readonly after: number | null
}

interface Kept {
  readonly number: number
  readonly owner: string
  readonly message: ShortMessage
  /** At its phone. */
  arrived: boolean
  reported: boolean
}

interface Line {
  readonly number: number
  readonly owner: string
  readonly source: string
  readonly destination: string
  readonly esm: number
  readonly coding: number
  readonly validity: string
  readonly priority: number
  readonly octets: string
}

interface Mark {
  readonly mark: "arrived" | "reported"
  readonly number: number
}

class Peer {
  systemId = ""
  hears = false
  readonly socket: Socket
  readonly waiting = new Map<number, () => void>()
  private readonly next = sequences()
  constructor(socket: Socket) {
    this.socket = socket
  }
  say(id: number, said: number, sequence: number, body: Uint8Array = new Uint8Array()) {
    if (!this.socket.destroyed) this.socket.write(encode({ id, status: said, sequence, body }))
  }
  deliver(body: Uint8Array, done: () => void) {
    const sequence = this.next()
    this.waiting.set(sequence, done)
    this.say(command.deliver_sm, status.ok, sequence, body)
  }
}

export class Centre {
  readonly faults = new Faults<FaultName>(faultNames)
  manner: Manner = { notation: ["hex", "hex"], state: "DELIVRD", form: "text", after: 20 }
  /** Answer nothing at all, as a link that died in silence. */
  frozen = false
  /** Binds with this password only. */
  password = "secret"
  readonly server: Server
  private readonly file: string
  private readonly kept: Array<Kept> = []
  private readonly peers = new Set<Peer>()

  constructor(file: string) {
    this.file = file
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : []
    for (const line of lines) this.restore(JSON.parse(line) as Line | Mark)
    this.server = createServer((socket) => this.accept(socket))
    for (const one of this.kept) this.pass(one)
  }

  /** Messages as their phone shows them, by the order in which their last part came. */
  messages(to: string) {
    const whole: Array<{
      readonly text: string
      readonly parts: number
      readonly validity: string
      readonly priority: number
    }> = []
    const open = new Map<string, Array<ShortMessage>>()
    for (const { message } of this.kept) {
      if (message.destination.addr !== to) continue
      const split = (message.esm_class & 0x40) !== 0
      const [, , , reference, parts = 1] = split ? message.short_message : []
      const key = `${message.source.addr} ${reference}`
      const all = split ? [...(open.get(key) ?? []), message] : [message]
      open.set(key, all)
      if (all.length < parts) continue
      open.delete(key)
      const octets = all
        .toSorted((a, b) => (split ? a.short_message[5]! - b.short_message[5]! : 0))
        .map(({ short_message }) => (split ? short_message.subarray(6) : short_message))
      const bytes = Buffer.concat(octets)
      const text = message.data_coding === 8 ? Buffer.from(bytes).swap16().toString("utf16le") : fromSeptets(bytes)
      whole.push({ text, parts, validity: message.validity_period, priority: message.priority_flag })
    }
    return whole
  }

  count(): number {
    return this.kept.length
  }

  bound(): ReadonlyArray<string> {
    return [...this.peers].map(({ systemId }) => systemId).filter(Boolean)
  }

  /** Breaks every connection. */
  cut() {
    for (const { socket } of this.peers) socket.resetAndDestroy()
  }

  /** Reports now what waits. */
  release() {
    for (const one of this.kept) if (!one.reported) this.arrive(one)
  }

  private restore(line: Line | Mark) {
    if ("mark" in line) {
      const known = this.kept.find(({ number }) => number === line.number)
      if (known !== undefined) known[line.mark] = true
      return
    }
    const address = (addr: string) => ({ ton: 1, npi: 1, addr })
    const message: ShortMessage = {
      source: address(line.source),
      destination: address(line.destination),
      esm_class: line.esm,
      priority_flag: line.priority,
      validity_period: line.validity,
      registered_delivery: 1,
      data_coding: line.coding,
      short_message: Buffer.from(line.octets, "hex")
    }
    this.kept.push({ number: line.number, owner: line.owner, message, arrived: false, reported: false })
  }

  private accept(socket: Socket) {
    const peer = new Peer(socket)
    const frames = new Frames()
    this.peers.add(peer)
    socket.on("error", () => {})
    socket.on("close", () => this.peers.delete(peer))
    socket.on("data", (bytes: Buffer) => {
      if (this.frozen) return
      for (const pdu of frames.push(bytes)) this.hear(peer, pdu)
    })
  }

  private hear(peer: Peer, pdu: Pdu) {
    if (isAnswer(pdu.id)) {
      const done = peer.waiting.get(pdu.sequence)
      peer.waiting.delete(pdu.sequence)
      if (pdu.status === status.ok) done?.()
      return
    }
    const answer = (said: number, body?: Uint8Array) => peer.say(answerTo(pdu.id), said, pdu.sequence, body)
    if (pdu.id === command.enquire_link) return answer(status.ok)
    if (pdu.id === command.unbind) {
      answer(status.ok)
      return void peer.socket.end()
    }
    if (pdu.id === command.submit_sm) return this.take(peer, pdu)
    if (pdu.id !== command.bind_transceiver && pdu.id !== command.bind_receiver && pdu.id !== command.bind_transmitter)
      return peer.say(command.generic_nack, status.invalidCommand, pdu.sequence)
    const bind = decodeBind(pdu.body)
    if (bind.password !== this.password) return answer(status.invalidPassword)
    peer.systemId = bind.system_id
    peer.hears = pdu.id !== command.bind_transmitter
    answer(status.ok, encodeText("centre"))
    if (peer.hears) this.resume(peer)
  }

  private take(peer: Peer, pdu: Pdu) {
    const answer = (said: number, body?: Uint8Array) => peer.say(answerTo(pdu.id), said, pdu.sequence, body)
    const message = decodeMessage(pdu.body)
    const fault = this.faults.draw(`${message.destination.addr} ${Buffer.from(message.short_message).toString("hex")}`)
    if (fault === "refused") return answer(status.invalidDestination)
    if (fault === "rate-limited") return answer(status.throttled)
    if (fault === "queue-full") return answer(status.queueFull)
    if (fault === "unavailable") return answer(status.systemError)
    if (fault === "lost-before") return void peer.socket.resetAndDestroy()
    const one: Kept = {
      number: 0xabc00 + this.kept.length,
      owner: peer.systemId,
      message,
      arrived: false,
      reported: fault === "no-receipt"
    }
    this.kept.push(one)
    const { destination, source } = message
    const line: Line = {
      number: one.number,
      owner: one.owner,
      source: source.addr,
      destination: destination.addr,
      esm: message.esm_class,
      coding: message.data_coding,
      validity: message.validity_period,
      priority: message.priority_flag,
      octets: Buffer.from(message.short_message).toString("hex")
    }
    appendFileSync(this.file, `${JSON.stringify(line)}\n`)
    if (fault === "early-receipt") this.report(one)
    if (fault === "lost-after") peer.socket.resetAndDestroy()
    else if (fault === "slow") setTimeout(() => answer(status.ok, encodeText(this.id(one, 0))), 1_500)
    else if (fault !== "silent") answer(status.ok, encodeText(this.id(one, 0)))
    this.pass(one, fault === "double-receipt")
  }

  private id({ number }: Kept, which: 0 | 1): string {
    return number.toString(this.manner.notation[which] === "hex" ? 16 : 10)
  }

  private mark(one: Kept, mark: Mark["mark"]) {
    one[mark] = true
    appendFileSync(this.file, `${JSON.stringify({ mark, number: one.number } satisfies Mark)}\n`)
  }

  private peer(systemId: string) {
    return [...this.peers].find((peer) => peer.hears && peer.systemId === systemId)
  }

  /** To the phone, by whoever is bound for phones or by itself. */
  private pass(one: Kept, twice = false) {
    if (one.arrived) return
    const { after } = this.manner
    if (after === null) {
      const { message } = one
      const phones = one.owner === "phones" ? undefined : this.peer("phones")
      return phones?.deliver(encodeMessage({ ...message, registered_delivery: 0, validity_period: "" }), () =>
        this.arrive(one)
      )
    }
    setTimeout(() => {
      this.arrive(one)
      if (twice) setTimeout(() => this.report({ ...one, reported: false }), 50)
    }, after)
  }

  private arrive(one: Kept) {
    this.mark(one, "arrived")
    this.report(one)
  }

  /** What waited for this peer: messages for phones, reports for their sender. */
  private resume({ systemId }: Peer) {
    for (const one of this.kept)
      if (systemId === "phones") this.pass(one)
      else if (one.arrived) this.report(one)
  }

  private report(one: Kept) {
    if (one.reported) return
    const owner = this.peer(one.owner)
    if (owner === undefined) return
    const { destination, source } = one.message
    const id = this.id(one, 1)
    const { form, state } = this.manner
    const text = `id:${id} sub:001 dlvrd:001 submit date:2611220500 done date:2611220501 stat:${state} err:${state === "DELIVRD" ? "000" : "0a7"} text:`
    const receipt = encodeMessage(
      {
        source: destination,
        destination: source,
        esm_class: 0x04,
        priority_flag: 0,
        validity_period: "",
        registered_delivery: 0,
        data_coding: 0,
        short_message: form === "text" ? Buffer.from(text) : new Uint8Array()
      },
      form === "text"
        ? []
        : [
            [option.receipted_message_id, Buffer.from(`${id}\0`)],
            [option.message_state, Uint8Array.of({ DELIVRD: 2, EXPIRED: 3, UNDELIV: 5 }[state])]
          ]
    )
    owner.deliver(receipt, () => this.mark(one, "reported"))
  }
}
