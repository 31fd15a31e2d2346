/**
 * What goes wrong at the simulated gateway, and when: a seeded schedule, so that the same ids meet the same faults in the same order,
 * however the requests are interleaved.
 */
import { createHash } from "node:crypto"

/** Faults that a `pay` may meet. Made means: the credit arrived. */
export const payFaults = [
  /** No answer, not made. */
  "lost-before",
  /** The connection is reset, not made. */
  "reset-before",
  /** The connection is reset, made. */
  "lost-after",
  /** Made, answered after `--slow` milliseconds. */
  "slow",
  /** Made, answered twice on the same connection. */
  "duplicate",
  /** 429 with Retry-After, not looked at. */
  "rate-limited",
  /** 503, not looked at. */
  "unavailable",
  /** Made, 200 with an error in the body. */
  "error-body",
  /** Made, 200 with broken JSON. */
  "malformed",
  /** Made, 200 with somebody's page. */
  "html",
  /** Made, 200 that names another id. */
  "wrong-id",
  /** Made, 200 with a hundred times the amount. */
  "wrong-amount",
  /** Made, rejected with a code that is in no contract. */
  "odd-code",
  /** 202, made after `--settle` milliseconds. */
  "pending-success",
  /** 202, finally rejected after `--settle` milliseconds. */
  "pending-failure",
  /** No answer, "not found" for `--settle` milliseconds, made then. */
  "late",
  /** Finally not made. */
  "declined",
  /** Made, and taken back after `--settle` milliseconds. */
  "returned",
  /** Made, booked at a moment that is off by `--skew` milliseconds; so are its callbacks. */
  "clock-skew"
] as const

export const statusFaults = [
  "status-lost",
  "status-malformed",
  "status-html",
  "status-wrong-id",
  "status-rate-limited",
  "status-unavailable"
] as const

/** What the register makes of one payment's line. `shifted`: a day later. `scaled`: times 100. `extra`: a line that nobody paid beside it. */
export const lineFaults = ["register-missing", "register-extra", "register-shifted", "register-scaled"] as const
/** What happens to a page of the register. */
export const pageFaults = ["register-truncated", "register-malformed"] as const

/** What happens to a callback. `early`: before `pay` is answered. `reordered`: an older one comes once more afterwards. */
export const callbackFaults = [
  "callback-lost",
  "callback-duplicate",
  "callback-forged",
  "callback-early",
  "callback-reordered"
] as const

export const faultNames = [...payFaults, ...statusFaults, ...lineFaults, ...pageFaults, ...callbackFaults]
export type PayFault = (typeof payFaults)[number]
export type FaultName = (typeof faultNames)[number]
/** How often each happens, 0–1; those of one kind add up to at most 1. */
export type FaultRates = { readonly [Name in FaultName]?: number }

const known: ReadonlySet<string> = new Set(faultNames)
export const isFaultName = (name: string): name is FaultName => known.has(name)

/** Reads `lost-after=0.1,slow=0.05`; throws with the part that is wrong. */
export const parseFaults = (text: string): FaultRates => {
  const rates: { [Name in FaultName]?: number } = {}
  for (const part of text.split(",").filter((one) => one.trim() !== "")) {
    const [name = "", value = ""] = part.split("=").map((one) => one.trim())
    const rate = Number(value)
    if (!isFaultName(name)) throw new Error(`There is no fault "${name}"; the faults are ${faultNames.join(", ")}.`)
    if (value === "" || !(rate >= 0 && rate <= 1)) throw new Error(`The rate of "${name}" must be between 0 and 1.`)
    rates[name] = rate
  }
  return rates
}

/** Decides by seed, subject and try alone, never by what happened elsewhere. */
export class Schedule {
  rates: FaultRates
  seed: number
  /** Taken first, in their order, by the next calls they concern. */
  readonly next: Array<FaultName> = []
  private readonly tries = new Map<string, number>()

  constructor(rates: FaultRates, seed: number) {
    this.rates = rates
    this.seed = seed
  }

  /** The fault that the next thing of this kind meets, if any. `fixed`: the same at every try, as a line in a register is. */
  draw<Name extends FaultName>(subject: string, candidates: ReadonlyArray<Name>, fixed = false): Name | undefined {
    const scripted = this.next.findIndex((name) => (candidates as ReadonlyArray<FaultName>).includes(name))
    if (scripted >= 0) return this.next.splice(scripted, 1)[0] as Name
    const attempt = fixed ? 0 : (this.tries.get(subject) ?? 0)
    this.tries.set(subject, attempt + 1)
    const digest = createHash("sha256").update(`${this.seed} ${attempt} ${subject}`).digest()
    let point = digest.readUInt32BE(0) / 2 ** 32
    for (const name of candidates) {
      point -= this.rates[name] ?? 0
      if (point < 0) return name
    }
    return undefined
  }
}
