/**
 * The outbox on the disk: `outbox-000001.ndjson` and so on, one message per line, written at the end of the last file only. Several
 * processes of one machine may append and read at the same time.
 */
import type { KeptMessage } from "@mahalla/core/plugin"
import { mkdir, open, readdir, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Line = Schema.fromJsonString(
  Schema.Struct({
    id: Schema.String,
    tenantId: Schema.optionalKey(Schema.String),
    to: Schema.String,
    subject: Schema.optionalKey(Schema.String),
    text: Schema.String,
    language: Schema.String,
    class: Schema.Literals(["code", "notice", "bulk"]),
    expiresAt: Schema.optionalKey(Schema.Number),
    at: Schema.Number
  })
)
const decode = Schema.decodeUnknownOption(Line)

export const fileName = (number: number): string => `outbox-${String(number).padStart(6, "0")}.ndjson`

/** Numbers of the files there are, oldest first. */
export const listFiles = async (home: string): Promise<ReadonlyArray<number>> => {
  const names = await readdir(home).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return []
    throw error
  })
  return names
    .flatMap((name) => /^outbox-(\d{6})\.ndjson$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((one, other) => one - other)
}

/** Whole lines only: the last one may be half written by a crash or by somebody who writes right now. */
const parse = (text: string): ReadonlyArray<KeptMessage> =>
  text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .flatMap((line) => Option.toArray(decode(line)))

/** Messages of one file in their order; none when it has gone meanwhile. */
export const readMessages = async (home: string, number: number): Promise<ReadonlyArray<KeptMessage>> =>
  parse(
    await readFile(join(home, fileName(number)), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return ""
      throw error
    })
  )

/** Appends to the last file and follows what others append to it. Not for use by two callers of one process at a time. */
export class OutboxWriter {
  private number = 1
  /** Bytes of the last file that were followed. */
  private offset = 0
  private readonly home: string
  private readonly onMessage: (message: KeptMessage) => void

  constructor(home: string, onMessage: (message: KeptMessage) => void) {
    this.home = home
    this.onMessage = onMessage
  }

  /** Hears every message that is kept, from the oldest file on. */
  async start(): Promise<void> {
    await mkdir(this.home, { recursive: true, mode: 0o700 })
    const numbers = await listFiles(this.home)
    for (const number of numbers.slice(0, -1)) (await readMessages(this.home, number)).forEach(this.onMessage)
    this.number = numbers.at(-1) ?? 1
    await this.follow()
  }

  /** Hears what other processes have appended meanwhile. */
  async follow(): Promise<void> {
    for (;;) {
      const file = await open(join(this.home, fileName(this.number)), "a+", 0o600)
      try {
        const { size } = await file.stat()
        if (size > this.offset) {
          const bytes = Buffer.alloc(size - this.offset)
          await file.read(bytes, 0, bytes.length, this.offset)
          const whole = bytes.lastIndexOf(0x0a) + 1
          parse(bytes.subarray(0, whole).toString("utf8")).forEach(this.onMessage)
          this.offset += whole
        }
      } finally {
        await file.close()
      }
      const newer = (await listFiles(this.home)).find((number) => number > this.number)
      if (newer === undefined) return
      this.number = newer
      this.offset = 0
    }
  }

  /** On the disk when it resolves. Begins a new file and drops the oldest where the limits say so. */
  async append(message: KeptMessage, limits: { readonly fileSize: number; readonly files: number }): Promise<void> {
    if (this.offset >= limits.fileSize) {
      this.number += 1
      this.offset = 0
      const numbers = await listFiles(this.home)
      const surplus = numbers.slice(0, Math.max(0, numbers.length + 1 - limits.files))
      await Promise.all(surplus.map((number) => rm(join(this.home, fileName(number)), { force: true })))
    }
    const file = await open(join(this.home, fileName(this.number)), "a+", 0o600)
    try {
      const { size } = await file.stat()
      // What a crash or a full disk left behind is closed with a line end, and readers pass over it.
      const torn = size > 0 && (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== 0x0a
      await file.appendFile(`${torn ? "\n" : ""}${JSON.stringify(message)}\n`)
      await file.datasync()
    } finally {
      await file.close()
    }
    await this.follow()
  }
}
