/**
 * Lines that are on the disk when they are told to be. Two files, the current and the one before it: what is older is forgotten, so the
 * journal does not grow for ever. Whoever writes at the same time shares one write.
 */
import { type FileHandle, mkdir, open, readFile, rename } from "node:fs/promises"
import { join } from "node:path"

interface Waiting {
  readonly line: string
  readonly turn: boolean
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

export class Journal {
  private readonly folder: string
  private file: FileHandle | undefined
  private waiting: Array<Waiting> = []
  private writing: Promise<void> | undefined

  constructor(folder: string) {
    this.folder = folder
  }

  private path(name: "current" | "before"): string {
    return join(this.folder, `messages-${name}.ndjson`)
  }

  /** Lines of both files, oldest first. The last one may have been half written by a crash: it is left out and closed with a line end. */
  async open(): Promise<{ readonly before: ReadonlyArray<string>; readonly current: ReadonlyArray<string> }> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 })
    const [before, current] = await Promise.all([this.read("before"), this.read("current")])
    this.file = await open(this.path("current"), "a", 0o600)
    if (current.torn) await this.file.appendFile("\n")
    return { before: before.lines, current: current.lines }
  }

  private async read(name: "current" | "before") {
    const text = await readFile(this.path(name), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return ""
      throw error
    })
    const whole = text.lastIndexOf("\n") + 1
    return { lines: text.slice(0, whole).split("\n").filter(Boolean), torn: whole < text.length }
  }

  /** On the disk when it resolves. `turn`: what is written after it begins a new file; the older of the two goes. */
  append(line: string, turn = false): Promise<void> {
    const done = new Promise<void>((resolve, reject) => this.waiting.push({ line, turn, resolve, reject }))
    this.writing ??= this.write()
    return done
  }

  async close(): Promise<void> {
    await this.writing
    await this.file?.close()
    this.file = undefined
  }

  private async write(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting
      this.waiting = []
      try {
        if (this.file === undefined) throw new Error("The journal is closed.")
        await this.file.appendFile(batch.map(({ line }) => `${line}\n`).join(""))
        await this.file.datasync()
        if (batch.some(({ turn }) => turn)) await this.turn(this.file)
        for (const { resolve } of batch) resolve()
      } catch (cause) {
        for (const { reject } of batch) reject(cause)
      }
    }
    this.writing = undefined
  }

  private async turn(file: FileHandle): Promise<void> {
    await file.close()
    await rename(this.path("current"), this.path("before"))
    this.file = await open(this.path("current"), "a", 0o600)
  }
}
