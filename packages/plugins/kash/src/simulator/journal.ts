/**
 * What the simulated gateway has done, in a file that only grows: every change is on the disk before anybody hears of it, so a killed
 * simulator forgets nothing. A line is a thing as it is from then on. One process at a time, by a lock of the operating system that dies with
 * the process.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"

export class JournalLocked extends Error {}

export class Journal<Thing extends { readonly id: string }> {
  readonly things = new Map<string, Thing>()
  private readonly file: number
  private readonly lock: DatabaseSync

  /** Opens or makes the file. Throws `JournalLocked` when another process has it. */
  constructor(path: string) {
    this.lock = new DatabaseSync(`${path}.lock`)
    try {
      this.lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
    } catch (cause) {
      this.lock.close()
      throw new JournalLocked(`Another simulator works on ${path}.`, { cause })
    }
    this.file = openSync(path, "a+", 0o600)
    const bytes = readFileSync(path)
    const end = bytes.lastIndexOf(0x0a) + 1
    // A killed process can leave the beginning of a line, which nobody has heard of.
    if (end < bytes.length) ftruncateSync(this.file, end)
    for (const line of bytes.subarray(0, end).toString("utf8").split("\n")) {
      if (line === "") continue
      const thing = JSON.parse(line) as Thing
      this.things.set(thing.id, thing)
    }
  }

  put(thing: Thing): Thing {
    writeSync(this.file, `${JSON.stringify(thing)}\n`)
    fsyncSync(this.file)
    this.things.set(thing.id, thing)
    return thing
  }

  close(): void {
    closeSync(this.file)
    this.lock.close()
  }
}
