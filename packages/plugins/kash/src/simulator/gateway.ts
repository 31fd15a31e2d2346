/** What the simulated gateway does with payments: takes each id once, settles what waits, takes back, and lists. */
import { randomUUID } from "node:crypto"
import type { PayFault } from "./faults.ts"
import type { Journal } from "./journal.ts"

export interface Body {
  readonly phone: string
  readonly amount: string
  readonly currency: string
  readonly memo: string
}

export interface Payment {
  readonly id: string
  readonly body: Body
  readonly state: "waiting" | "done" | "rejected"
  /** The gateway does not know of it before it is due. */
  readonly hidden: boolean
  /** Epoch milliseconds at which it becomes what it becomes. */
  readonly due: number
  readonly becomes: "done" | "rejected"
  readonly code?: string
  readonly reference?: string
  /** When it was booked, by the gateway's clock. */
  readonly doneAt?: number
  readonly returnDue?: number
  readonly returnedAt?: number
  /** Milliseconds by which the gateway's clock is off for this one. */
  readonly skew: number
  /** Times the credit arrived; anything above 1 is the fault that this simulator looks for. */
  readonly effects: number
}

export interface RegisterLine {
  readonly payment: Payment
  readonly state: "done" | "returned"
  readonly at: number
}

const canonical = ({ amount, currency, memo, phone }: Body) => JSON.stringify([phone, amount, currency, memo])

export class Gateway {
  private readonly journal: Journal<Payment>
  private readonly waits: { readonly settle: number; readonly skew: number }
  /** Ids of payments that wait for their moment or for their return. */
  private readonly open = new Set<string>()
  /** Called with every payment whose state has changed. */
  onChange: (payment: Payment) => void = () => {}

  constructor(journal: Journal<Payment>, waits: { readonly settle: number; readonly skew: number }) {
    this.journal = journal
    this.waits = waits
    for (const payment of journal.things.values()) this.watch(payment)
  }

  get payments(): ReadonlyMap<string, Payment> {
    return this.journal.things
  }

  /** What the gateway knows of an id, after everything due by now has happened. */
  find(id: string, now: number): Payment | undefined {
    this.settle(now)
    const payment = this.payments.get(id)
    return payment === undefined || payment.hidden ? undefined : payment
  }

  /** Takes a payment once. `reused`: the id stands for another one. */
  accept(id: string, body: Body, now: number, fault: PayFault | undefined): Payment | "reused" {
    this.settle(now)
    const known = this.payments.get(id)
    if (known !== undefined) return canonical(known.body) === canonical(body) ? known : "reused"
    const waits = fault === "pending-success" || fault === "pending-failure" || fault === "late"
    const accepted: Payment = {
      id,
      body,
      state: "waiting",
      hidden: fault === "late",
      due: waits ? now + this.waits.settle : now,
      becomes: fault === "declined" || fault === "pending-failure" ? "rejected" : "done",
      skew: fault === "clock-skew" ? this.waits.skew : 0,
      effects: 0,
      ...(fault === "returned" ? { returnDue: now + this.waits.settle } : {})
    }
    return this.put(waits ? accepted : this.settled(accepted, now))
  }

  giveBack(id: string, now: number): boolean {
    const payment = this.payments.get(id)
    if (payment?.state !== "done" || payment.returnedAt !== undefined) return false
    this.put({ ...payment, returnedAt: now })
    return true
  }

  /** Lets happen what is due; with `Infinity`, everything that waits, as if it were due at `at`. */
  settle(now: number, at?: number): void {
    for (const id of this.open) {
      let payment = this.payments.get(id) as Payment
      if (payment.state === "waiting" && payment.due <= now)
        payment = this.put(this.settled(payment, at ?? payment.due))
      if (payment.returnDue !== undefined && payment.returnDue <= now)
        this.put({ ...payment, returnedAt: at ?? payment.returnDue })
    }
  }

  /** Epoch milliseconds: from, and up to without. */
  booked(from: number, to: number): ReadonlyArray<RegisterLine> {
    const lines: Array<RegisterLine> = []
    for (const payment of this.payments.values())
      for (const [state, at] of [["done", payment.doneAt] as const, ["returned", payment.returnedAt] as const])
        if (at !== undefined && at >= from && at < to) lines.push({ payment, state, at })
    return lines
  }

  private settled(payment: Payment, at: number): Payment {
    return payment.becomes === "rejected"
      ? { ...payment, hidden: false, state: "rejected", code: "operator-declined" }
      : {
          ...payment,
          hidden: false,
          state: "done",
          reference: `kash-${randomUUID().slice(0, 8)}`,
          doneAt: at + payment.skew,
          effects: payment.effects + 1
        }
  }

  private put(payment: Payment): Payment {
    this.journal.put(payment)
    this.watch(payment)
    this.onChange(payment)
    return payment
  }

  private watch(payment: Payment): void {
    const returns = payment.returnDue !== undefined && payment.returnedAt === undefined
    if (payment.state === "waiting" || returns) this.open.add(payment.id)
    else this.open.delete(payment.id)
  }
}
