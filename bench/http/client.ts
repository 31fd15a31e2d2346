/**
 * A load client that costs as little as it can: raw sockets, keep-alive, one request at a time on each. It runs in a process of its own
 * (`loadProcess.ts`), so that the servers' figures do not pay for it.
 */
import { connect, type Socket } from "node:net"
import { quantile } from "../measure.ts"

export interface Target {
  /** Which of `requests.ts`. */
  readonly shape: string
  readonly port: number
  /** What the shape needs besides, as tokens. */
  readonly facts: Readonly<Record<string, string>>
}

export interface Load extends Target {
  readonly connections: number
  readonly seconds: number
  /** Ends earlier when so many have been sent. */
  readonly requests?: number
  /** Requests a second over all connections; absent: as many as go. */
  readonly rate?: number
}

export interface Outcome {
  readonly done: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
  /** Of the first one that failed. */
  readonly failure?: string
}

export interface Request {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body?: string
}

interface Answer {
  readonly status: number
  readonly body: string
}

const bytesOf = (request: Request): string => {
  const lines = [`${request.method} ${request.path} HTTP/1.1`, "host: 127.0.0.1"]
  for (const [name, value] of Object.entries(request.headers ?? {})) lines.push(`${name}: ${value}`)
  if (request.body !== undefined)
    lines.push("content-type: application/json", `content-length: ${Buffer.byteLength(request.body)}`)
  return `${lines.join("\r\n")}\r\n\r\n${request.body ?? ""}`
}

/** The end of a chunked body that begins at `from`, or -1 when more is to come. */
const chunkedEnd = (text: string, from: number): number => {
  for (let at = from; ;) {
    const line = text.indexOf("\r\n", at)
    if (line === -1) return -1
    const size = Number.parseInt(text.slice(at, line), 16)
    const next = line + 2 + size + 2
    if (next > text.length) return -1
    if (size === 0) return next
    at = next
  }
}

/** Sends one request at a time over one connection. Text is latin1: a character is a byte. */
class Lane {
  readonly socket: Socket
  private text = ""
  private settle: { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void } | undefined

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, noDelay: true })
    this.socket.setEncoding("latin1")
    this.socket.on("data", (part: string) => this.take(part))
    this.socket.on("error", (error) => this.settle?.reject(error))
    this.socket.on("close", () => this.settle?.reject(new Error("The server closed the connection")))
  }

  private take(part: string): void {
    this.text += part
    const head = this.text.indexOf("\r\n\r\n")
    if (head === -1) return
    const headers = this.text.slice(0, head)
    const length = /\r\ncontent-length: *(\d+)/i.exec(headers)?.[1]
    const from = head + 4
    const end = length !== undefined ? from + Number(length) : chunkedEnd(this.text, from)
    if (end === -1 || this.text.length < end) return
    const answer = { status: Number(headers.slice(9, 12)), body: this.text.slice(from, end) }
    this.text = this.text.slice(end)
    this.settle?.resolve(answer)
  }

  send(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject }
      this.socket.write(bytesOf(request), "utf8")
    })
  }
}

/** Keeps all connections busy for so many seconds; with a `rate`, each request has its moment and waiting counts as its time. */
export const runLoad = async (load: Load, next: () => Request): Promise<Outcome> => {
  const times: Array<number> = []
  let failed = 0
  let failure: string | undefined
  const began = performance.now()
  const until = began + load.seconds * 1000
  const gap = load.rate === undefined ? 0 : 1000 / load.rate
  let scheduled = 0
  let left = load.requests ?? Infinity
  const lane = async () => {
    const connection = new Lane(load.port)
    while (performance.now() < until && left-- > 0) {
      let from = performance.now()
      if (gap > 0) {
        from = began + gap * scheduled++
        if (from >= until) break
        const wait = from - performance.now()
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      }
      const { body, status } = await connection.send(next())
      times.push(performance.now() - from)
      if (status >= 300) {
        failed++
        failure ??= `${status} ${body.slice(0, 400)}`
      }
    }
    connection.socket.destroy()
  }
  await Promise.all(Array.from({ length: load.connections }, lane))
  const seconds = (performance.now() - began) / 1000
  return {
    done: times.length,
    perSecond: times.length / seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    failed,
    ...(failure === undefined ? {} : { failure })
  }
}
