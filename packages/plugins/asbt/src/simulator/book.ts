/**
 * What the simulated authority has taken and decided, in an append-only file: every change is on the disk before anybody hears of it, so a
 * killed simulator forgets nothing. One process at a time, kept by a lock of the operating system that dies with the process.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"

export interface Fine {
  /** Minor units. */
  readonly amount: string
  readonly currency: string
}

/** What it will do with one by itself. */
export interface Plan {
  /** Not known to anybody before this moment. */
  readonly hiddenUntil?: number
  readonly decideAt?: number
  readonly verdict: "fine" | "no-violation"
  readonly reverseAt?: number
}

export interface Entry {
  readonly number: string
  /** What must be the same when it is sent again. */
  readonly body: string
  readonly docket: string
  readonly at: number
  readonly callback: string | undefined
  plan: Plan
  state: "registered" | "review" | "decided" | "rejected"
  verdict: "fine" | "no-violation"
  fine: Fine | undefined
  /** Counts decisions: their numbers differ. */
  decisions: number
  decidedAt: number
  /** Times that it was entered; anything above 1 is the fault this sandbox looks for. */
  effects: number
}

type Line =
  | {
      readonly type: "filed" | "rejected"
      readonly number: string
      readonly body: string
      readonly at: number
      readonly callback?: string
      /** As it came, for whoever wants to see. */
      readonly sent?: unknown
      readonly plan: Plan
    }
  | { readonly type: "review"; readonly number: string }
  | {
      readonly type: "decided"
      readonly number: string
      readonly at: number
      readonly verdict: "fine" | "no-violation"
      readonly fine?: Fine
    }

export class BookLocked extends Error {}

export class Book {
  readonly entries = new Map<string, Entry>()
  private readonly file: number
  private readonly lock: DatabaseSync

  /** Opens or makes the file. Throws `BookLocked` when another process has it. */
  constructor(path: string) {
    this.lock = new DatabaseSync(`${path}.lock`)
    try {
      this.lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
    } catch (cause) {
      this.lock.close()
      throw new BookLocked(`Another simulator works on ${path}.`, { cause })
    }
    this.file = openSync(path, "a+", 0o600)
    const bytes = readFileSync(path)
    const end = bytes.lastIndexOf(0x0a) + 1
    // A killed process can leave the beginning of a line, which nobody has heard of.
    if (end < bytes.length) ftruncateSync(this.file, end)
    for (const line of bytes.subarray(0, end).toString("utf8").split("\n"))
      if (line !== "") this.apply(JSON.parse(line) as Line)
  }

  close(): void {
    closeSync(this.file)
    this.lock.close()
  }

  /** What the authority knows of a number. */
  find(number: string, now: number): Entry | undefined {
    const entry = this.entries.get(number)
    return entry === undefined || (entry.plan.hiddenUntil ?? 0) > now ? undefined : entry
  }

  /** Takes a filing once. `reused`: the number stands for another one. */
  take(
    type: "filed" | "rejected",
    given: {
      readonly number: string
      readonly body: string
      readonly at: number
      readonly callback?: string
      readonly sent?: unknown
    },
    plan: Plan
  ): Entry | "reused" {
    const known = this.entries.get(given.number)
    if (known !== undefined) return known.body === given.body ? known : "reused"
    this.append({ type, ...given, plan })
    return this.entries.get(given.number)!
  }

  review(number: string): void {
    this.append({ type: "review", number })
  }

  decide(number: string, at: number, verdict: Entry["verdict"], fine?: Fine): void {
    this.append({ type: "decided", number, at, verdict, ...(fine === undefined ? {} : { fine }) })
  }

  /** Lets happen what is due by itself; gives the numbers of which there is news. */
  settle(now: number): ReadonlyArray<string> {
    const news: Array<string> = []
    for (const { decisions, number, plan, state, verdict } of this.entries.values()) {
      if (plan.decideAt === undefined || state === "rejected") continue
      const due =
        decisions === 0
          ? plan.decideAt <= now
          : decisions === 1 && plan.reverseAt !== undefined && plan.reverseAt <= now
      if (!due) continue
      this.decide(number, now, decisions === 0 ? plan.verdict : verdict === "fine" ? "no-violation" : "fine")
      news.push(number)
    }
    return news
  }

  /** What was late is there now. */
  reveal(): void {
    for (const entry of this.entries.values()) {
      const { hiddenUntil: _, ...plan } = entry.plan
      entry.plan = plan
    }
  }

  private append(line: Line): void {
    writeSync(this.file, `${JSON.stringify(line)}\n`)
    fsyncSync(this.file)
    this.apply(line)
  }

  private apply(line: Line): void {
    if (line.type === "filed" || line.type === "rejected") {
      const known = this.entries.get(line.number)
      this.entries.set(line.number, {
        number: line.number,
        body: line.body,
        docket: `ASBT-${String(this.entries.size + 1).padStart(8, "0")}`,
        at: line.at,
        callback: line.callback,
        plan: line.plan,
        state: line.type === "filed" ? "registered" : "rejected",
        verdict: "fine",
        fine: undefined,
        decisions: 0,
        decidedAt: 0,
        effects: (known?.effects ?? 0) + (line.type === "filed" ? 1 : 0)
      })
      return
    }
    const entry = this.entries.get(line.number)
    if (entry === undefined) throw new Error(`The book has ${line.type} for the unknown number ${line.number}.`)
    if (line.type === "review") {
      entry.state = "review"
      return
    }
    if (line.type !== "decided") return
    entry.state = "decided"
    entry.verdict = line.verdict
    entry.fine = line.fine
    entry.decisions += 1
    entry.decidedAt = line.at
  }
}
