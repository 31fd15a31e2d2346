/** How a rail's register of a day and our books of it agree. Pure. */
import type { RegisterLine } from "../../ports/Payments.ts"
import type { PayoutState } from "./model.ts"

/** What our books say of a payout. */
export interface Booked {
  readonly id: string
  readonly amount: bigint
  readonly currency: string
  readonly state: PayoutState
  readonly reference: string | null
  /** When it was settled, epoch milliseconds. */
  readonly at: number
}

/**
 * `missing-at-rail`: we say it was paid, the register does not. `missing-here`: the register has a payment that we never asked for. `amount`,
 * `currency`, `reference`: both know it and say different things; `scale`: the amounts differ by a power of ten, as where tiyin were taken for sum.
 * `twice`: two payments for one id. `day`: more than a day before or after ours. `late-success`: what counts as failed was
 * paid. `returned`: what counts as paid came back. `succeeded-late`: what nobody knew was paid. The last two settle themselves, and are kept to be seen.
 */
export type DifferenceKind =
  | "missing-at-rail"
  | "missing-here"
  | "amount"
  | "scale"
  | "currency"
  | "reference"
  | "twice"
  | "day"
  | "late-success"
  | "returned"
  | "succeeded-late"

export interface Difference {
  readonly kind: DifferenceKind
  /** Our id, or the line's where we know none. */
  readonly subject: string
  readonly payoutId?: string
  readonly ours: string
  readonly theirs: string
}

/** What is to be booked by the register's word. */
export type Settlement =
  | { readonly id: string; readonly to: "succeeded"; readonly reference: string }
  | { readonly id: string; readonly to: "returned"; readonly reference: string }
  | { readonly id: string; readonly to: "late-success"; readonly reference: string }

export interface Comparison {
  readonly differences: ReadonlyArray<Difference>
  readonly settlements: ReadonlyArray<Settlement>
  /** Of lines that are this tenant's, returned ones taken off. */
  readonly lines: number
  readonly amount: bigint
}

const dayMillis = 86_400_000
const money = ({ amount, currency }: { readonly amount: bigint; readonly currency: string }) => `${amount} ${currency}`

const isScaled = (one: bigint, other: bigint) =>
  [10n, 100n, 1_000n].some((factor) => one * factor === other || other * factor === one)

const settled: ReadonlySet<PayoutState> = new Set(["succeeded", "returned"])
const open: ReadonlySet<PayoutState> = new Set(["submitting", "unknown", "manual"])

/**
 * Compares one UTC day. `day`: its first millisecond. `neighbours`: lines of the days before and after, for what was sent around midnight. `booked`: our
 * payouts by this rail, of the day and of all lines. A line that says anything unlike our books settles nothing.
 */
export const compareRegister = (
  day: number,
  lines: ReadonlyArray<RegisterLine>,
  neighbours: ReadonlyArray<RegisterLine>,
  booked: ReadonlyArray<Booked>
): Comparison => {
  const elsewhere = new Map<string, string>()
  for (const { id, reference, state } of neighbours) if (state === "succeeded") elsewhere.set(id, reference)
  const ours = new Map(booked.map((one) => [one.id, one]))
  const seen = new Set<string>()
  const differences: Array<Difference> = []
  const settlements: Array<Settlement> = []
  let amount = 0n
  for (const line of lines) {
    const mine = ours.get(line.id)
    const theirs = `${line.state} ${money(line.money)}, ${line.reference}, ${new Date(line.at).toISOString()}`
    if (mine === undefined) {
      differences.push({ kind: "missing-here", subject: `${line.id} ${line.state}`, ours: "no such payout", theirs })
      continue
    }
    const said = `${mine.state} ${money(mine)}, ${mine.reference ?? "no reference"}`
    const differ = (kind: DifferenceKind) =>
      void differences.push({ kind, subject: mine.id, payoutId: mine.id, ours: said, theirs })
    amount += line.state === "succeeded" ? line.money.amount : -line.money.amount
    const other = elsewhere.get(line.id)
    if (line.state === "succeeded" && (seen.has(line.id) || (other !== undefined && other !== line.reference))) {
      differ("twice")
      continue
    }
    if (line.state === "succeeded") seen.add(line.id)
    if (line.money.currency !== mine.currency) {
      differ("currency")
      continue
    }
    if (line.money.amount !== mine.amount) {
      differ(isScaled(line.money.amount, mine.amount) ? "scale" : "amount")
      continue
    }
    if (line.state === "returned") {
      if (mine.state === "succeeded") {
        settlements.push({ id: mine.id, to: "returned", reference: line.reference })
        differ("returned")
      }
      continue
    }
    if (open.has(mine.state)) {
      settlements.push({ id: mine.id, to: "succeeded", reference: line.reference })
      differ("succeeded-late")
    } else if (mine.state === "failed") {
      settlements.push({ id: mine.id, to: "late-success", reference: line.reference })
      differ("late-success")
    } else if (settled.has(mine.state)) {
      if (mine.reference !== null && mine.reference !== line.reference) differ("reference")
      else if (Math.abs(line.at - mine.at) > dayMillis) differ("day")
    } else differ("late-success")
  }
  for (const mine of booked) {
    const isOfDay = mine.at >= day && mine.at < day + dayMillis
    if (isOfDay && mine.state === "succeeded" && !seen.has(mine.id) && !elsewhere.has(mine.id))
      differences.push({
        kind: "missing-at-rail",
        subject: mine.id,
        payoutId: mine.id,
        ours: `${mine.state} ${money(mine)}, ${mine.reference ?? "no reference"}`,
        theirs: "no such line"
      })
  }
  return { differences, settlements, lines: lines.length, amount }
}
