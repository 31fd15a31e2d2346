/**
 * One connection between its socket and the broker: passes bytes on while the city takes messages, and breaks off as soon as a frame
 * announces itself larger than allowed, before it has been read.
 */
import { Duplex } from "node:stream"
import { frameGuard } from "../frames.ts"

export interface LineLimits {
  /** Bytes of one MQTT packet. */
  readonly most: number
  /** Calls back when there is room for what was read; never any more when reading has stopped for good. */
  readonly whenRoom: (readOn: () => void) => void
}

/** A client has shown nothing yet when it sends its first packet: name, password, certificate and will fit into this. */
const firstPacket = 16_384
/** Bytes read ahead for each connection. */
export const readAhead = 16_384

export class Line extends Duplex {
  private held = false
  private readonly inner: Duplex

  constructor(inner: Duplex, { most, whenRoom }: LineLimits) {
    super({ readableHighWaterMark: readAhead, allowHalfOpen: false })
    this.inner = inner
    const admitted = frameGuard(firstPacket, most)
    inner.on("data", (chunk: Buffer) => {
      if (!admitted(chunk)) return void this.destroy()
      this.held = true
      inner.pause()
      whenRoom(() => {
        this.held = false
        if (!this.destroyed && this.push(chunk)) inner.resume()
      })
    })
    inner.on("end", () => this.push(null))
    inner.on("error", () => this.destroy())
    inner.on("close", () => this.destroy())
  }

  override _read() {
    if (!this.held) this.inner.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void) {
    this.inner.write(chunk, encoding, done)
  }

  override _writev(chunks: ReadonlyArray<{ readonly chunk: Buffer }>, done: (error?: Error | null) => void) {
    this.inner.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done)
  }

  override _final(done: (error?: Error | null) => void) {
    this.inner.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void) {
    this.inner.destroy()
    done(error)
  }
}
