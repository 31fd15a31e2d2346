/** What the simulated processing centre does with credits: takes each `ext` once, settles what waits, takes back, and lists. */
import { createHash, randomInt, randomUUID } from "node:crypto"
import type { PayFault } from "./faults.ts"
import type { Journal } from "./journal.ts"

export interface Credit {
  readonly kind: "credit"
  /** The caller's `ext`. */
  readonly id: string
  /** Ours. */
  readonly tranId: string
  readonly recipient: string
  /** Tiyin. */
  readonly amount: number
  readonly purpose: string
  readonly merchantId: string
  readonly terminalId: string
  readonly state: "waiting" | "made" | "refused"
  /** The centre does not know of it before it is due. */
  readonly hidden: boolean
  /** Epoch milliseconds at which it becomes what it becomes. */
  readonly due: number
  readonly becomes: "made" | "refused"
  readonly refNum: string
  readonly at: number
  readonly returnDue?: number
  readonly returnedAt?: number
  /** Milliseconds by which the centre's clock is off for this one. */
  readonly skew: number
  /** Times the money moved; anything above 1 is the fault that this simulator looks for. */
  readonly effects: number
}

/** A bound card: its number was read once, and is nowhere. */
export interface Card {
  readonly kind: "card"
  /** The token. */
  readonly id: string
  readonly masked: string
}

export interface Form {
  readonly kind: "form"
  /** As it stands in the form's address. */
  readonly id: string
  readonly ext: string
  readonly returnUrl: string
  readonly lang: string
  readonly expires: number
  readonly state: "NEW" | "OTP" | "DONE" | "REFUSED"
  /** The card that is waiting for its code, or bound. */
  readonly card?: { readonly token: string; readonly masked: string }
}

export type Thing = Credit | Card | Form

/** A card that every simulator has from its beginning. */
export const testCard: Card = { kind: "card", id: "tok_test", masked: "860000******0000" }
export const noReference = "000000000000"

/** The number of a card's owner in the population register: made from the token, so that none is kept. */
export const ownerOf = (token: string): string =>
  `3${BigInt(`0x${createHash("sha256").update(token).digest("hex").slice(0, 16)}`)
    .toString()
    .padStart(13, "0")
    .slice(-13)}`

export type Asked = Pick<Credit, "id" | "recipient" | "amount" | "purpose" | "merchantId" | "terminalId">

export interface ReportLine {
  readonly credit: Credit
  readonly type: "CREDIT" | "REVERSE"
  readonly at: number
}

export class Processing {
  private readonly journal: Journal<Thing>
  private readonly waits: { readonly settle: number; readonly skew: number }
  /** Ids of credits that wait for their moment or for their return. */
  private readonly open = new Set<string>()

  constructor(journal: Journal<Thing>, waits: { readonly settle: number; readonly skew: number }) {
    this.journal = journal
    this.waits = waits
    if (!journal.things.has(testCard.id)) journal.put(testCard)
    for (const credit of this.credits()) this.watch(credit)
  }

  credits(): ReadonlyArray<Credit> {
    return [...this.journal.things.values()].filter((thing) => thing.kind === "credit")
  }

  card(token: string): Card | undefined {
    const thing = this.journal.things.get(token)
    return thing?.kind === "card" ? thing : undefined
  }

  form(id: string): Form | undefined {
    const thing = this.journal.things.get(id)
    return thing?.kind === "form" ? thing : undefined
  }

  formOf(ext: string): Form | undefined {
    return [...this.journal.things.values()].find((thing): thing is Form => thing.kind === "form" && thing.ext === ext)
  }

  keep(thing: Card | Form): void {
    this.journal.put(thing)
  }

  /** What the centre knows of an `ext`, after everything due by now has happened. */
  find(ext: string, now: number): Credit | undefined {
    this.settle(now)
    const credit = this.journal.things.get(ext)
    return credit?.kind === "credit" && !credit.hidden ? credit : undefined
  }

  /** Takes an `ext` once; `duplicate` ever after, whatever is asked under it. */
  accept(asked: Asked, now: number, fault: PayFault | undefined): Credit | "duplicate" {
    this.settle(now)
    if (this.journal.things.has(asked.id)) return "duplicate"
    const waits = fault === "pending-success" || fault === "pending-failure" || fault === "late"
    const credit: Credit = {
      ...asked,
      kind: "credit",
      tranId: randomUUID(),
      state: "waiting",
      hidden: fault === "late",
      due: waits ? now + this.waits.settle : now,
      becomes: fault === "declined" || fault === "pending-failure" ? "refused" : "made",
      refNum: noReference,
      at: now,
      skew: fault === "clock-skew" ? this.waits.skew : 0,
      effects: 0,
      ...(fault === "returned" ? { returnDue: now + this.waits.settle } : {})
    }
    return this.put(waits ? credit : this.settled(credit, now))
  }

  /** Takes back what was made, once; undefined where there is nothing to take back. */
  giveBack(credit: Credit | undefined, now: number): Credit | undefined {
    if (credit?.state !== "made") return undefined
    return credit.returnedAt === undefined ? this.put({ ...credit, returnedAt: now }) : credit
  }

  /** Lets happen what is due; with `Infinity`, everything that waits, as if it were due at `at`. */
  settle(now: number, at?: number): void {
    for (const id of this.open) {
      let credit = this.journal.things.get(id) as Credit
      if (credit.state === "waiting" && credit.due <= now) credit = this.put(this.settled(credit, at ?? credit.due))
      if (credit.returnDue !== undefined && credit.returnDue <= now)
        this.put({ ...credit, returnedAt: at ?? credit.returnDue })
    }
  }

  /** Epoch milliseconds: from, and up to without. */
  booked(from: number, to: number): ReadonlyArray<ReportLine> {
    const lines: Array<ReportLine> = []
    for (const credit of this.credits()) {
      if (!credit.hidden && credit.at >= from && credit.at < to) lines.push({ credit, type: "CREDIT", at: credit.at })
      const { returnedAt } = credit
      if (returnedAt !== undefined && returnedAt >= from && returnedAt < to)
        lines.push({ credit, type: "REVERSE", at: returnedAt })
    }
    return lines
  }

  private settled(credit: Credit, at: number): Credit {
    const then = { ...credit, hidden: false, at: at + credit.skew }
    return credit.becomes === "refused"
      ? { ...then, state: "refused" }
      : {
          ...then,
          state: "made",
          refNum: `9${String(randomInt(10 ** 11)).padStart(11, "0")}`,
          effects: credit.effects + 1
        }
  }

  private put(credit: Credit): Credit {
    this.journal.put(credit)
    this.watch(credit)
    return credit
  }

  private watch(credit: Credit): void {
    const returns = credit.returnDue !== undefined && credit.returnedAt === undefined
    if (credit.state === "waiting" || returns) this.open.add(credit.id)
    else this.open.delete(credit.id)
  }
}
