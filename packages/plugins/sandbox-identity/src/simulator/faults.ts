/**
 * What goes wrong at the simulated register, and when: a seeded schedule, so that the same ids meet the same faults in the same order,
 * however the requests are interleaved.
 */
import { createHash } from "node:crypto"

export const faultNames = [
  /** No answer, not looked at. */
  "lost-before",
  /** Looked at; the connection is reset. */
  "lost-after",
  /** Looked at, answered after `--slow` milliseconds. */
  "slow",
  /** 500 with an error in the body. */
  "server-error",
  /** 200 with broken JSON. */
  "malformed",
  /** 200 with the HTML of somebody else's page. */
  "wrong-content",
  /** 200 that names another request. */
  "wrong-id",
  /** 202: a clerk must look first. */
  "pending",
  /** 429 with Retry-After, not looked at. */
  "rate-limited",
  /** 503, not looked at. */
  "unavailable",
  /** 401, not looked at. */
  "unauthorized"
] as const
export type FaultName = (typeof faultNames)[number]
/** How often each happens, 0–1; together at most 1. */
export type FaultRates = { readonly [Name in FaultName]?: number | undefined }

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

/** Decides by seed, id and try alone, never by what happened elsewhere. */
export class Schedule {
  /** Taken first, in their order. */
  next: Array<FaultName> = []
  private readonly tries = new Map<string, number>()
  private readonly rates: FaultRates
  private readonly seed: number

  constructor(rates: FaultRates, seed: number) {
    this.rates = rates
    this.seed = seed
  }

  draw(id: string): FaultName | undefined {
    const scripted = this.next.shift()
    if (scripted !== undefined) return scripted
    const attempt = this.tries.get(id) ?? 0
    this.tries.set(id, attempt + 1)
    const digest = createHash("sha256").update(`${this.seed} ${attempt} ${id}`).digest()
    let point = digest.readUInt32BE(0) / 2 ** 32
    for (const name of faultNames) {
      point -= this.rates[name] ?? 0
      if (point < 0) return name
    }
    return undefined
  }
}
