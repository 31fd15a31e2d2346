/**
 * What a rule would have raised, from readings as they are stored: in the order of time, page by page, so that memory stays flat however long the
 * time is.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { InvalidInput, Refused } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { limitReads } from "../../kernel/limits/address.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { numbers } from "./arrays.ts"
import { quality } from "./check.ts"
import { type KnownDevice, loadDevices } from "./judge/load.ts"
import type { Anomaly } from "./model.ts"
import { checkRule } from "./ruleCheck.ts"
import { compileRules } from "./rules/compile.ts"
import { conditionsOf, type RuleBody } from "./rules/definition.ts"
import { type DryRun, dryRun } from "./rules/dryRun.ts"
import type { Fact } from "./rules/facts.ts"
import type { CompiledRule } from "./rules/model.ts"

/** Readings that one dry run looks at, at most. */
export const mostReadings = 2_000_000
const pageSize = 10_000
const week = 604_800_000
const longest = 366 * 86_400_000

/** Dry runs share the process with everything else: one at a time. */
const oneAtATime = Semaphore.makeUnsafe(1)

/** Keys of the datastreams that a rule looks at; undefined: any is a sign of life. */
const keysOf = ({ definition, sources }: CompiledRule): ReadonlyArray<string> | undefined =>
  conditionsOf(definition).some(([, leaf]) => leaf.kind === "offline" && leaf.datastream === undefined)
    ? undefined
    : [...new Set(sources.map(({ key }) => key))]

interface Looked {
  /** By the number in readings. */
  readonly streams: ReadonlyMap<string, { readonly device: string; readonly key: string }>
  readonly retentions: ReadonlyArray<number>
}

const streamsOf = Effect.fnUntraced(function* (devices: ReadonlyArray<KnownDevice>, rule: CompiledRule) {
  const { sql, tenantId } = yield* TenantTx
  const keys = keysOf(rule) ?? null
  const rows = yield* sql<{ number: string; device: string; key: string; retentions: string }>`
    select s.number::text, s.device_id as device, s.key, array_to_string(s.retentions, ',') as retentions from mahalla.datastream s
    where s.tenant_id = ${tenantId} and s.device_id = any (${devices.map(({ facts }) => facts.id)}::uuid[])
      and (${keys}::text[] is null or s.key = any (${keys}::text[]))`
  return {
    streams: new Map(rows.map(({ device, key, number }) => [number, { device, key }])),
    retentions: [...new Set(rows.flatMap((row) => row.retentions.split(",").map(Number)))]
  } satisfies Looked
})

const readingsWhere = Effect.fnUntraced(function* ({ retentions, streams }: Looked, from: number, until: number) {
  const { sql, tenantId } = yield* TenantTx
  // Index: the primary key of each class's partitions. What came from a device's memory is not for rules.
  return sql`tenant_id = ${tenantId} and datastream = any (${[...streams.keys()]}::bigint[])
    and retention = any (${numbers(retentions, (days) => days)}::smallint[])
    and at >= ${new Date(from)} and at < ${new Date(until)} and quality & ${quality.historical} = 0`
})

/** Where each page begins; their number is bounded, their size is not where many readings have one time. */
const pagesIn = Effect.fnUntraced(function* (looked: Looked, from: number, until: number) {
  const { sql } = yield* TenantTx
  const where = yield* readingsWhere(looked, from, until)
  const [counted] = yield* sql<{ amount: number }>`
    select count(*)::int as amount from (select from mahalla.reading where ${where} limit ${mostReadings + 1}) r`
  if (counted!.amount > mostReadings)
    return yield* new Refused({
      code: "too-many-readings",
      message: `A dry run looks at ${mostReadings} readings at most, and these are more. Give a later from or an earlier until, or name fewer devices in the scope.`
    })
  const rows = yield* sql<{ at: Date }>`
    select distinct at from (select at, row_number() over (order by at) as place from mahalla.reading where ${where}) r
    where place % ${pageSize} = 1 order by at`
  return rows.map(({ at }) => at.getTime())
})

const timeOf = (fact: Fact): number => (fact.kind === "anomaly" ? fact.anomaly.at : fact.at)

/** Readings and anomalies of a stretch, each anomaly after its reading. */
const pageOf = Effect.fnUntraced(function* (looked: Looked, from: number, until: number) {
  const { sql, tenantId } = yield* TenantTx
  const readings = yield* sql<{ stream: string; at: Date; sequence: string; value: number }>`
    select datastream::text as stream, at, sequence::text, value from mahalla.reading
    where ${yield* readingsWhere(looked, from, until)} order by at, datastream, reading.sequence`
  // Index: anomaly_age.
  const found = yield* sql<Omit<Anomaly, "at" | "expected"> & { stream: string; at: Date; low: number; high: number }>`
    select datastream::text as stream, at, kind, value, low, high, score, explanation from mahalla.anomaly
    where tenant_id = ${tenantId} and at >= ${new Date(from)} and at < ${new Date(until)}
      and datastream = any (${[...looked.streams.keys()]}::bigint[])
    order by at, datastream, kind`
  const facts: Array<Exclude<Fact, { readonly kind: "tick" | "device" | "gone" }>> = []
  for (const { at, sequence, stream, value } of readings)
    facts.push({
      kind: "reading",
      ...looked.streams.get(stream)!,
      at: at.getTime(),
      sequence: Number(sequence),
      value
    })
  for (const { at, high, low, stream, ...anomaly } of found)
    facts.push({
      kind: "anomaly",
      ...looked.streams.get(stream)!,
      anomaly: { ...anomaly, at: at.getTime(), expected: { low, high } }
    })
  // Stable: readings stay before the anomalies of their time.
  return found.length === 0 ? facts : facts.sort((left, right) => timeOf(left) - timeOf(right))
})

export interface DryRunRequest {
  readonly definition: RuleBody
  readonly from?: Date
  readonly until?: Date
}

const spanOf = Effect.fnUntraced(function* (request: DryRunRequest) {
  const until = Math.floor(request.until?.getTime() ?? (yield* Clock.currentTimeMillis))
  const from = request.from?.getTime() ?? until - week
  if (from >= until)
    return yield* new InvalidInput({ issues: [{ pointer: "/until", detail: "It must end after it begins." }] })
  if (until - from > longest)
    return yield* new InvalidInput({ issues: [{ pointer: "/from", detail: "A dry run looks at 366 days at most." }] })
  return { from, until }
})

/**
 * What a rule would have raised in a time, by default the last week, of devices as they are now and with anomalies as they were found. Fails with
 * `InvalidInput` where the rule cannot work or the time is longer than 366 days, and with `Refused` where it would have to look at more than 2,000,000 readings. Needs `rule.manage`.
 */
export const tryRule = Effect.fn("telemetry.tryRule")(function* (request: DryRunRequest) {
  const { tenantId } = yield* Actor
  const inside = withTenant(tenantId)
  yield* inside(demandEverywhere("rule.manage"))
  yield* limitReads("export")
  const { from, until } = yield* spanOf(request)
  const run = Effect.gen(function* () {
    const { looked, pages, rule, tenant, touched } = yield* inside(
      Effect.gen(function* () {
        const { rule } = yield* checkRule({ ...request.definition, id: "dry-run", version: 1 })
        const { calendar, timeZone } = yield* tenantSettings
        const tenant = { timeZone, holidays: calendar.holidays }
        const compiled = compileRules([rule], tenant)
        const { known } = yield* loadDevices(undefined)
        const touched = known.filter(
          ({ facts }) => compiled.rulesOf(facts).length > 0 || compiled.setsOf(facts.id).length > 0
        )
        const looked = yield* streamsOf(touched, compiled.rules[0]!)
        return { looked, pages: yield* pagesIn(looked, from, until), rule, tenant, touched }
      })
    )
    const begins = pages.length === 0 ? [from] : [from, ...pages.slice(1)]
    const facts = Stream.fromIterable(begins.map((begin, place) => [begin, begins[place + 1] ?? until] as const)).pipe(
      Stream.mapEffect(([begin, end]) => inside(pageOf(looked, begin, end)))
    )
    const stored: DryRun["pages"] = yield* Stream.toAsyncIterableEffect(facts)
    const devices = touched.map((device) => device.facts)
    const result = yield* Effect.tryPromise({
      try: (signal) => dryRun({ rule, tenant, devices, from, until, pages: stored, signal }),
      catch: (error) => error
    })
    const names = new Map(touched.map(({ facts, name, title }) => [facts.id, title || name]))
    return { ...result, from, until, devices: touched.length, names }
  })
  return yield* oneAtATime.withPermits(1)(run)
})
