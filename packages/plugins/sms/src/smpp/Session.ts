/**
 * One bound connection: requests in flight with their time, the pulse (`enquire_link`), and what the centre sends by itself. It ends once,
 * whoever ends it, and then everything unanswered is told so.
 */
import type { Socket } from "node:net"
import { answerTo, command, encode, Frames, isAnswer, type Pdu, sequences, status } from "./pdu.ts"

/** The connection ended, or the time ran out, before an answer came: the centre may have acted on it. */
export class Unanswered extends Error {
  override readonly name = "Unanswered"
}

export interface SessionOptions {
  /** Milliseconds of silence after which the centre is asked whether it is there. */
  readonly pulse: number
  /** Milliseconds for an answer. */
  readonly patience: number
  /** What the centre sends: the status to answer with. A rejection leaves it unanswered, so that it comes again. */
  readonly onDeliver: (pdu: Pdu) => Promise<number>
}

/** Requests of the centre in work; beyond them it is not read from. */
const mostInWork = 100

interface Waiting {
  readonly resolve: (pdu: Pdu) => void
  readonly reject: (error: Unanswered) => void
  readonly timer: NodeJS.Timeout
}

export class Session {
  private readonly frames = new Frames()
  private readonly waiting = new Map<number, Waiting>()
  private readonly next = sequences()
  private readonly socket: Socket
  private readonly options: SessionOptions
  private readonly pulse: NodeJS.Timeout
  private inWork = 0
  private over = false
  /** Resolves with the reason when the connection has ended. */
  readonly ended: Promise<string>
  private end: (reason: string) => void = () => {}

  constructor(socket: Socket, options: SessionOptions) {
    this.socket = socket
    this.options = options
    this.ended = new Promise((resolve) => (this.end = resolve))
    this.pulse = setTimeout(() => void this.ask(), options.pulse)
    socket.setNoDelay(true)
    socket.on("data", (bytes: Buffer) => this.take(bytes))
    socket.on("error", (error) => this.close(error.message))
    socket.on("close", () => this.close("the centre closed the connection"))
  }

  get isOver(): boolean {
    return this.over
  }

  /** Sends and waits for the answer, whatever its status; rejects with `Unanswered`. */
  request(id: number, body: Uint8Array = new Uint8Array()): Promise<Pdu> {
    return new Promise((resolve, reject) => {
      if (this.over) return reject(new Unanswered("the connection had ended"))
      const sequence = this.next()
      const timer = setTimeout(() => {
        this.waiting.delete(sequence)
        reject(new Unanswered(`no answer in ${this.options.patience} ms`))
      }, this.options.patience)
      this.waiting.set(sequence, { resolve, reject, timer })
      this.socket.write(encode({ id, status: status.ok, sequence, body }))
    })
  }

  /** Says goodbye, waits a little for the answer, and ends. */
  async unbind(): Promise<void> {
    if (!this.over)
      await Promise.race([
        this.request(command.unbind).catch(() => undefined),
        new Promise((resolve) => setTimeout(resolve, 1_000).unref())
      ])
    this.close("unbound")
  }

  close(reason: string): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.pulse)
    this.socket.destroy()
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer)
      reject(new Unanswered(reason))
    }
    this.waiting.clear()
    this.end(reason)
  }

  private async ask(): Promise<void> {
    // Links die in silence: without an answer this one is taken for dead.
    await this.request(command.enquire_link).then(
      () => this.pulse.refresh(),
      () => this.close("the centre does not answer enquire_link")
    )
  }

  private take(bytes: Buffer): void {
    this.pulse.refresh()
    let units: ReadonlyArray<Pdu>
    try {
      units = this.frames.push(bytes)
    } catch (error) {
      return this.close(error instanceof Error ? error.message : "the bytes are no SMPP")
    }
    for (const unit of units) this.hear(unit)
  }

  private hear(pdu: Pdu): void {
    if (this.over) return
    if (isAnswer(pdu.id)) {
      const asked = this.waiting.get(pdu.sequence)
      // An answer that comes too late, twice, or to nothing.
      if (asked === undefined) return
      this.waiting.delete(pdu.sequence)
      clearTimeout(asked.timer)
      return asked.resolve(pdu)
    }
    if (pdu.id === command.deliver_sm) return void this.deliver(pdu)
    if (pdu.id === command.enquire_link) return this.answer(pdu, answerTo(pdu.id), status.ok)
    if (pdu.id === command.unbind) {
      this.answer(pdu, answerTo(pdu.id), status.ok)
      return this.close("the centre unbound us")
    }
    this.answer(pdu, command.generic_nack, status.invalidCommand)
  }

  private async deliver(pdu: Pdu): Promise<void> {
    if (++this.inWork >= mostInWork) this.socket.pause()
    await this.options.onDeliver(pdu).then(
      (said) => this.answer(pdu, answerTo(pdu.id), said, Uint8Array.of(0)),
      () => {}
    )
    if (--this.inWork < mostInWork) this.socket.resume()
  }

  private answer({ sequence }: Pdu, id: number, said: number, body: Uint8Array = new Uint8Array()): void {
    if (!this.over) this.socket.write(encode({ id, status: said, sequence, body }))
  }
}
