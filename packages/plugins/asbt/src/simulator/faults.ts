/**
 * What goes wrong at the simulated authority, and when: a seeded schedule, so that the same numbers meet the same faults in the same
 * order, however the requests are interleaved.
 */
import { createHash } from "node:crypto"

/** Faults that a filing may meet. Filed means: it stands in the book. */
export const fileFaults = [
  /** No answer, not filed. */
  "lost-before",
  /** No answer (the connection is reset), filed. */
  "lost-after",
  /** Filed, answered after `--slow` milliseconds. */
  "slow",
  /** 429 with Retry-After, not looked at. */
  "rate-limited",
  /** 503, not looked at. */
  "unavailable",
  /** 502 of something in between, with a page; not looked at. */
  "server-error",
  /** Filed, 200 with an error in the body. */
  "error-body",
  /** Filed, 200 with broken JSON. */
  "malformed",
  /** Filed, 200 with a page of HTML. */
  "wrong-content",
  /** Filed, 200 that names another number. */
  "wrong-number",
  /** Filed, with an answer that somebody else has signed. */
  "forged",
  /** No answer, "not found" for `--late` milliseconds, filed then. */
  "late",
  /** Finally not taken. */
  "refused"
] as const

export const statusFaults = ["status-lost", "status-malformed", "status-wrong-number", "status-unavailable"] as const

/** Of its word to us, when something has changed. */
export const callbackFaults = [
  /** Not sent at all. */
  "callback-lost",
  /** Sent three times. */
  "callback-duplicate",
  /** Sent with a signature that is not its own. */
  "callback-forged",
  /** Sent again as it was, by somebody who saw it. */
  "callback-replayed",
  /** Sent late, behind the next ones. */
  "callback-reordered",
  /** Sent as soon as it was filed, before its answer. */
  "callback-early"
] as const

/** Of what it decides by itself. */
export const decisionFaults = ["dismissed", "reversed"] as const

export const faultNames = [...fileFaults, ...statusFaults, ...callbackFaults, ...decisionFaults]
export type FileFault = (typeof fileFaults)[number]
export type FaultName = (typeof faultNames)[number]
/** How often each happens, 0–1; for the faults of one call they add up to at most 1. */
export type FaultRates = { readonly [Name in FaultName]?: number }

const known: ReadonlySet<string> = new Set(faultNames)
export const isFaultName = (name: unknown): name is FaultName => typeof name === "string" && known.has(name)

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
  /** Taken first, in their order, by the next calls they concern. */
  readonly next: Array<FaultName> = []
  private readonly seed: number
  private readonly tries = new Map<string, number>()

  constructor(rates: FaultRates, seed: number) {
    this.rates = rates
    this.seed = seed
  }

  draw<Name extends FaultName>(subject: string, candidates: ReadonlyArray<Name>): Name | undefined {
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
