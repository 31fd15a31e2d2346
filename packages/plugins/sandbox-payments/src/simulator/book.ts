/**
 * What the simulated rail has done, in an append-only file: every change is on the disk before anybody hears of it, so a killed
 * simulator forgets no payment. One process at a time, kept by a lock of the operating system that dies with the process.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync
} from "node:fs"
import { DatabaseSync } from "node:sqlite"

export interface Body {
  readonly payee: { readonly kind: string; readonly value: string }
  readonly money: { readonly amount: string; readonly currency: string }
  readonly memo: string
}

type Line =
  | {
      readonly type: "accepted"
      readonly id: string
      readonly body: Body
      readonly at: number
      /** Settled at this moment; absent: with this very line. */
      readonly due?: number
      readonly becomes?: "paid" | "failed"
      /** The rail does not know of it before it is due. */
      readonly hidden?: boolean
    }
  | {
      readonly type: "paid"
      readonly id: string
      readonly reference: string
      readonly at: number
      readonly returnDue?: number
    }
  | { readonly type: "failed"; readonly id: string; readonly at: number }
  | { readonly type: "returned"; readonly id: string; readonly at: number }

export interface Payment {
  readonly id: string
  readonly body: Body
  state: "waiting" | "paid" | "failed"
  hidden: boolean
  due: number
  becomes: "paid" | "failed"
  reference: string
  paidAt: number
  returnDue?: number
  returnedAt?: number
  /** Times the money moved; anything above 1 is the fault this sandbox looks for. */
  effects: number
}

export class BookLocked extends Error {}

const canonical = (body: Body) =>
  JSON.stringify([body.payee.kind, body.payee.value, body.money.amount, body.money.currency, body.memo])

export class Book {
  readonly payments = new Map<string, Payment>()
  private readonly file: number
  private readonly lock: DatabaseSync
  private references = 0
  /** Ids of payments that wait for their moment or for their return. */
  private readonly open = new Set<string>()

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

  /** Whether the file under this path is still the one that was opened. */
  isAt(path: string): boolean {
    return existsSync(path) && statSync(path).ino === fstatSync(this.file).ino
  }

  close(): void {
    closeSync(this.file)
    this.lock.close()
  }

  /** What the rail knows of an id, after everything due by now has happened. */
  find(id: string, now: number): Payment | undefined {
    this.settle(now)
    const payment = this.payments.get(id)
    return payment === undefined || payment.hidden ? undefined : payment
  }

  /** Takes a payment once. `reused`: the id stands for another one. */
  accept(
    id: string,
    body: Body,
    now: number,
    plan: {
      readonly becomes: "paid" | "failed"
      readonly due?: number
      readonly hidden?: boolean
      readonly returnDue?: number
    }
  ): Payment | "reused" {
    this.settle(now)
    const known = this.payments.get(id)
    if (known !== undefined) return canonical(known.body) === canonical(body) ? known : "reused"
    const { becomes, due, hidden = false, returnDue } = plan
    const accepted = { type: "accepted", id, body, at: now, becomes, hidden } as const
    if (due === undefined) this.append(accepted, this.settled(id, becomes, now, returnDue))
    else this.append({ ...accepted, due })
    return this.payments.get(id) as Payment
  }

  giveBack(id: string, now: number): boolean {
    const payment = this.payments.get(id)
    if (payment?.state !== "paid" || payment.returnedAt !== undefined) return false
    this.append({ type: "returned", id, at: now })
    return true
  }

  /** Lets happen what is due; with `Infinity`, everything that waits, as if it were due at `at`. */
  settle(now: number, at?: number): void {
    for (const id of this.open) {
      const payment = this.payments.get(id) as Payment
      if (payment.state === "waiting" && payment.due <= now)
        this.append(this.settled(payment.id, payment.becomes, at ?? payment.due))
      if (payment.returnDue !== undefined && payment.returnedAt === undefined && payment.returnDue <= now)
        this.append({ type: "returned", id: payment.id, at: at ?? payment.returnDue })
    }
  }

  private settled(id: string, becomes: "paid" | "failed", at: number, returnDue?: number): Line {
    if (becomes === "failed") return { type: "failed", id, at }
    const reference = `sandbox-${String(++this.references).padStart(9, "0")}`
    return { type: "paid", id, reference, at, ...(returnDue === undefined ? {} : { returnDue }) }
  }

  private append(...lines: ReadonlyArray<Line>): void {
    writeSync(this.file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
    fsyncSync(this.file)
    for (const line of lines) this.apply(line)
  }

  private apply(line: Line): void {
    this.open.delete(line.id)
    if (line.type === "accepted") {
      this.open.add(line.id)
      this.payments.set(line.id, {
        id: line.id,
        body: line.body,
        state: "waiting",
        hidden: line.hidden ?? false,
        due: line.due ?? line.at,
        becomes: line.becomes ?? "paid",
        reference: "",
        paidAt: 0,
        effects: 0
      })
      return
    }
    const payment = this.payments.get(line.id)
    if (payment === undefined) throw new Error(`The book has ${line.type} for the unknown payment ${line.id}.`)
    if (line.type === "returned") {
      payment.returnedAt = line.at
      return
    }
    payment.hidden = false
    payment.state = line.type
    if (line.type === "failed") return
    payment.effects += 1
    payment.reference = line.reference
    payment.paidAt = line.at
    if (line.returnDue !== undefined) {
      payment.returnDue = line.returnDue
      this.open.add(line.id)
    }
    this.references = Math.max(this.references, Number(line.reference.slice("sandbox-".length)))
  }
}
