/** One contender, one run, in a process of its own: prints its sample as JSON. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { setTimeout as sleep } from "node:timers/promises"
import { freshDatabase } from "@mahalla/core/testing"
import { quantile } from "../measure.ts"
import type { Contender } from "./contender.ts"
import { graphile } from "./graphile.ts"
import { mahalla } from "./mahalla.ts"
import { persisted } from "./persisted.ts"
import { pgboss } from "./pgboss.ts"

const [name = "", server = "", singles = "5000", bulk = "20000"] = process.argv.slice(2)
const scope = Effect.runSync(Scope.make())
const fresh = async () => Redacted.value((await Effect.runPromise(Scope.provide(freshDatabase(server), scope))).admin)

const contenders: Readonly<Record<string, () => Promise<Contender>>> = {
  mahalla: () => mahalla(server),
  graphile: async () => graphile(true)(await fresh()),
  "graphile-default": async () => graphile(false)(await fresh()),
  pgboss: async () => pgboss(await fresh()),
  persisted: async () => persisted(await fresh())
}

const contender = await contenders[name]?.()
if (contender === undefined) throw new Error(`No contender ${name}`)

const seconds = async (run: () => Promise<void>): Promise<number> => {
  const from = performance.now()
  await run()
  return (performance.now() - from) / 1000
}

/** So many in flight all the time. */
const inFlight = async (first: number, amount: number, width: number) => {
  let next = first
  const lane = async () => {
    while (next < first + amount) await contender.addOne(next++)
  }
  await Promise.all(Array.from({ length: width }, lane))
}

const counts = new Map<number, number>()
let seen = 0
let target = Infinity
let reached = () => {}
let heard: ((n: number) => void) | undefined

/** Nothing is left behind: neither a job without a handler run, nor a row that is not done. */
const until = async (amount: number, start: () => Promise<void>) => {
  target = amount
  const all = new Promise<void>((resolve) => (reached = resolve))
  await start()
  if (seen < target) await all
  while ((await contender.left()) > 0) await sleep(1)
}

const single = Number(singles)
const many = contender.addMany === undefined ? 0 : Number(bulk)
const sample: Record<string, number> = {}
sample["addOne"] = single / (await seconds(() => inFlight(0, single, 32)))
const { addMany } = contender
if (addMany !== undefined)
  sample["addMany"] =
    many /
    (await seconds(async () => {
      for (let at = single; at < single + many; at += 1000)
        await addMany(Array.from({ length: 1000 }, (_, index) => at + index))
    }))

sample["drain"] =
  (single + many) /
  (await seconds(() =>
    until(single + many, () =>
      contender.work((n) => {
        counts.set(n, (counts.get(n) ?? 0) + 1)
        if (++seen === target) reached()
        heard?.(n)
      })
    )
  ))
const twice = [...counts.values()].filter((count) => count > 1).length
if (counts.size !== single + many || twice > 0)
  throw new Error(
    `${name} ran ${counts.size} of ${single + many} jobs, ${twice} of them more than once, at ${sample["drain"]} jobs/s`
  )

await sleep(1000)
const times: Array<number> = []
for (let n = 0; n < 200; n++) {
  const from = performance.now()
  const handled = new Promise<void>((resolve) => {
    heard = (which) => {
      if (which !== 1_000_000 + n) return
      times.push(performance.now() - from)
      resolve()
    }
  })
  await contender.addOne(1_000_000 + n)
  await handled
  await sleep(20)
}
for (const share of [50, 95, 99]) sample[`idleP${share}`] = quantile(times, share / 100)
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
sample["cpuSeconds"] = (userCPUTime + systemCPUTime) / 1e6
sample["memoryMb"] = maxRSS / 1024
console.log(JSON.stringify(sample))
await contender.close()
await Effect.runPromise(Scope.close(scope, Exit.void))
process.exit(0)
