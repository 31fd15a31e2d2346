/** What a rule would have done: readings of the past run through it, without an alert to anybody. */
import { setImmediate } from "node:timers/promises"
import { compileRules } from "./compile.ts"
import { type RuleDefinition, type RuleSeverity, severities } from "./definition.ts"
import { evaluate } from "./evaluate.ts"
import type { DeviceFacts, Fact, RuleEffect } from "./facts.ts"
import type { TenantTime } from "./hours.ts"
import { makeState } from "./state.ts"

export interface DryEpisode {
  readonly episode: string
  readonly originator: string
  /** The worst it had. */
  readonly severity: RuleSeverity
  readonly from: number
  /** Null: it was still up at the end. */
  readonly until: number | null
  readonly flapping: boolean
  /** Why it was raised, in English. */
  readonly because: string
}

export interface DryRunResult {
  readonly readings: number
  /** So many alerts. */
  readonly raised: number
  /** Up at the end. */
  readonly standing: number
  readonly bySeverity: Readonly<Record<RuleSeverity, number>>
  /** The first 50, by when they were raised. */
  readonly episodes: ReadonlyArray<DryEpisode>
  /** Alerts by originator, the loudest first; the silent ones are not there. */
  readonly byDevice: ReadonlyArray<readonly [originator: string, raised: number]>
  /** The longest time without any alert being up. Null: there was no such time. */
  readonly quietest: { readonly from: number; readonly until: number } | null
}

export interface DryRun {
  readonly rule: RuleDefinition
  readonly tenant: TenantTime
  /** As they are now; nobody remembers what they were. */
  readonly devices: ReadonlyArray<DeviceFacts>
  /** Epoch milliseconds: what is looked at. */
  readonly from: number
  readonly until: number
  /** Pages of readings and anomalies, each page not before the last in time. Only one is held at once. */
  readonly pages: AsyncIterable<ReadonlyArray<Exclude<Fact, { readonly kind: "tick" | "device" | "gone" }>>>
  /** Nobody waits for the answer any more: it ends soon, with what it has. */
  readonly signal?: AbortSignal
}

const shown = 50
/** The clock of a past time goes on by the readings'; so often silence is looked for. Milliseconds. */
const tickEvery = 60_000
/** Where no readings come, time passes in such steps, and others have their turn between two of them. */
const longestTick = 6 * 3_600_000

type Writable<A> = { -readonly [K in keyof A]: A[K] }

/** Counts effects; remembers what is shown and what is up, nothing else. */
const makeTally = (from: number) => {
  const listed: Array<Writable<DryEpisode>> = []
  const standing = new Map<string, { severity: RuleSeverity; readonly listed: Writable<DryEpisode> | undefined }>()
  const bySeverity = Object.fromEntries(severities.map((severity) => [severity, 0])) as Record<RuleSeverity, number>
  const byDevice = new Map<string, number>()
  let quietest: { from: number; until: number } | null = null
  let quietSince = from
  let raised = 0
  const quietUntil = (until: number) => {
    if (until > quietSince && until - quietSince > (quietest === null ? 0 : quietest.until - quietest.from))
      quietest = { from: quietSince, until }
  }
  const tell = (effect: RuleEffect) => {
    const { at, episode, flapping, originator, severity } = effect
    if (effect.do === "raise") {
      if (standing.size === 0) quietUntil(at)
      raised++
      byDevice.set(originator, (byDevice.get(originator) ?? 0) + 1)
      const because = effect.because.text
      const entry = { episode, originator, severity, from: at, until: null, flapping, because }
      if (listed.length < shown) listed.push(entry)
      standing.set(episode, { severity, listed: listed.at(-1) === entry ? entry : undefined })
      return
    }
    const up = standing.get(episode)
    if (up === undefined) return
    if (severities.indexOf(severity) < severities.indexOf(up.severity)) up.severity = severity
    if (up.listed !== undefined) {
      up.listed.severity = up.severity
      up.listed.flapping ||= flapping
    }
    if (effect.do !== "clear") return
    if (up.listed !== undefined) up.listed.until = at
    bySeverity[up.severity]++
    standing.delete(episode)
    quietSince = Math.max(quietSince, at)
  }
  return {
    tell,
    result: (readings: number, until: number): DryRunResult => {
      const still = standing.size
      if (still === 0) quietUntil(until)
      for (const { severity } of standing.values()) bySeverity[severity]++
      return {
        ...{ readings, raised, standing: still, bySeverity, quietest },
        episodes: listed.toSorted((a, b) => a.from - b.from),
        byDevice: [...byDevice].sort(([a, some], [b, more]) => more - some || (a < b ? -1 : 1))
      }
    }
  }
}

const timeOf = (fact: Fact): number => (fact.kind === "anomaly" ? fact.anomaly.at : fact.at)

/** Runs readings through one rule. Takes the memory of the devices' states and one page, however long the time. */
export const dryRun = async ({ devices, from, pages, rule, signal, tenant, until }: DryRun): Promise<DryRunResult> => {
  const compiled = compileRules([rule], tenant)
  const state = makeState(compiled)
  const tally = makeTally(from)
  const run = (facts: ReadonlyArray<Fact>) => {
    for (const effect of evaluate(compiled, state, facts)) tally.tell(effect)
  }
  run(devices.map((device) => ({ kind: "device", at: from, device })))
  let readings = 0
  let ticked = from
  /** Hours and silence have much to say of a long time in which nothing came. */
  const pass = async (to: number) => {
    while (to - ticked > longestTick && signal?.aborted !== true) {
      ticked += longestTick
      run([{ kind: "tick", at: ticked }])
      await setImmediate()
    }
  }
  for await (const page of pages) {
    if (signal?.aborted === true) break
    let facts: Array<Fact> = []
    for (const fact of page) {
      const at = timeOf(fact)
      if (at - ticked > longestTick) {
        run(facts)
        facts = []
        await pass(at - 1)
      }
      if (at - ticked >= tickEvery) {
        ticked = at
        facts.push({ kind: "tick", at: at - 1 })
      }
      if (fact.kind === "reading") readings++
      facts.push(fact)
    }
    run(facts)
  }
  await pass(until)
  if (signal?.aborted !== true) run([{ kind: "tick", at: until }])
  return tally.result(readings, until)
}
