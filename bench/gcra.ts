/**
 * Limits: decisions a second of the Limiter on PostgreSQL, over many keys as requests have them and on one key that everybody wants, beside
 * the same connections asking for nothing but the time. Arguments: `--rounds=9`, `--seconds=3` per slice, `--callers=64`, `--connections=4`.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { HostDatabase, Limiter } from "@mahalla/core/plugin"
import { hostDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { layerLimiter } from "../packages/plugins/postgres/src/PostgresLimiter.ts"
import { figure, interleave, median, report, type Sample } from "./measure.ts"

const tenantId = "01a1fb96-0a6f-7324-b14e-40eab5e1b19c"

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const rounds = Number(value("rounds") ?? 9)
  const seconds = Number(value("seconds") ?? 3)
  const callers = Number(value("callers") ?? 64)
  const maxConnections = Number(value("connections") ?? 4)
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const work = Effect.gen(function* () {
    const { admin } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const { host } = yield* hostDatabase(Redacted.value(admin))
    const limiter = yield* Effect.provide(
      Limiter,
      yield* Layer.build(layerLimiter({ maxConnections }).pipe(Layer.provide(Layer.succeed(HostDatabase, host))))
    )
    const pool = yield* PgPool.make({ url: host.platform, maxConnections, applicationName: "floor" })
    const slice = (ask: (turn: number) => Effect.Effect<unknown, unknown>) => async (): Promise<Sample> => {
      let done = 0
      const cpu = process.cpuUsage()
      const until = performance.now() + seconds * 1000
      const one = Effect.suspend(() => ask(done++))
      await Effect.runPromise(
        Effect.forEach(
          Array.from({ length: callers }),
          () => Effect.repeat(one, { while: () => performance.now() < until }),
          { concurrency: "unbounded", discard: true }
        )
      )
      const { system, user } = process.cpuUsage(cpu)
      return { decisions: done / seconds, cpu: (system + user) / done }
    }
    const take = (key: string, amount: number) =>
      limiter.take({ tenantId, key, amount, window: 3_600, now: Date.now() })
    const contenders = {
      // A fifth of them refused, as in a flood that ends at its limits.
      many: slice((turn) => take(`bench:ip:${turn % 50_000}`, turn % 5 === 0 ? 1 : 1_000)),
      one: slice(() => take("bench:tenant:all", 1_000_000)),
      floor: slice(() => pool.use((connection) => connection.query("select now()", [])))
    }
    for (const contender of Object.values(contenders)) yield* Effect.promise(contender)
    const samples = yield* Effect.promise(() => interleave(contenders, rounds))
    for (const name of ["many", "one"] as const) {
      const metric = name === "many" ? "decisions over 50,000 keys" : "decisions on one key"
      const renamed = (all: ReadonlyArray<Sample>) => all.map(({ decisions }) => ({ [metric]: decisions ?? 0 }))
      report({
        bench: "gcra",
        metric,
        unit: "1/s",
        ours: renamed(samples[name]),
        floor: renamed(samples.floor),
        against: "select now() on as many connections"
      })
    }
    figure(
      "gcra",
      "decisions over 50,000 keys",
      "1/s",
      median(samples.many.map(({ decisions = 0 }) => decisions)),
      10_000
    )
  })
  await Effect.runPromise(Effect.scoped(work)).finally(() => rm(folder, { recursive: true, force: true }))
}
