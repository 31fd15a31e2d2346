/**
 * What goes wrong at the simulated rail, and when: a seeded schedule, so that the same ids meet the same faults in the same order,
 * however the requests are interleaved.
 */
import { createHash } from "node:crypto"

/** Faults that a `pay` may meet. Made means: the money moved. */
export const payFaults = [
  /** No answer, not made. */
  "lost-before",
  /** No answer (the connection is reset), made. */
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
  /** Made, 200 that names another id. */
  "wrong-id",
  /** 202, made after `--settle` milliseconds. */
  "pending-success",
  /** 202, finally declined after `--settle` milliseconds. */
  "pending-failure",
  /** No answer, "not found" for `--settle` milliseconds, made then. */
  "late",
  /** Finally not made. */
  "declined",
  /** Made, and taken back after `--settle` milliseconds. */
  "returned"
] as const

/** Faults of the other calls. */
export const otherFaults = ["status-lost", "status-malformed", "status-unavailable", "register-gap"] as const

export const faultNames = [...payFaults, ...otherFaults]
export type PayFault = (typeof payFaults)[number]
export type FaultName = (typeof faultNames)[number]
/** How often each happens, 0–1; for the faults of `pay` they add up to at most 1. */
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

  forPayment(id: string): PayFault | undefined {
    return this.draw(id, payFaults)
  }

  forStatus(id: string): FaultName | undefined {
    return this.draw(`status ${id}`, ["status-lost", "status-malformed", "status-unavailable"])
  }

  /** Whether this register leaves out the line of a payment. */
  dropsLine(id: string): boolean {
    return this.draw(`register ${id}`, ["register-gap"]) !== undefined
  }

  private draw<Name extends FaultName>(subject: string, candidates: ReadonlyArray<Name>): Name | undefined {
    const scripted = this.next.findIndex((name) => (candidates as ReadonlyArray<FaultName>).includes(name))
    if (scripted >= 0) return this.next.splice(scripted, 1)[0] as Name
    const attempt = this.tries.get(subject) ?? 0
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
