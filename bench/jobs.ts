/**
 * Our queue beside graphile-worker, pg-boss and Effect's PersistedQueue, on one embedded PostgreSQL with fsync. Each round: 5,000 jobs added
 * one by one with 32 in flight, 20,000 in calls of 1,000, all of them worked off by a no-op handler (concurrency 16, until no row is left),
 * then 200 jobs for an idle worker, 20 ms apart. Arguments: `--rounds=9`, `--only=mahalla,graphile`.
 */
import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { launchPostgres } from "@mahalla/postgres"
import { figure, interleave, median, report, type Sample } from "./measure.ts"
import { ensurePeers } from "./peers.mjs"

const execute = promisify(execFile)
const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]

const once = (server: string, contender: string, sizes: ReadonlyArray<number>) => async (): Promise<Sample> => {
  const script = join(import.meta.dirname, "jobs/once.ts")
  const { stdout } = await execute(process.execPath, [...flags, script, contender, server, ...sizes.map(String)])
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as Sample
}

const metrics = [
  ["addOne", "jobs/s", "higher"],
  ["addMany", "jobs/s", "higher"],
  ["drain", "jobs/s", "higher"],
  ["idleP50", "ms", "lower"],
  ["idleP95", "ms", "lower"],
  ["idleP99", "ms", "lower"],
  ["cpuSeconds", "s", "lower"],
  ["memoryMb", "MB", "lower"]
] as const

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const rounds = Number(value("rounds") ?? 9)
  const only = (value("only") ?? "mahalla,graphile,graphile-default,pgboss,persisted").split(",")
  ensurePeers()
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const work = Effect.gen(function* () {
    const { admin } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const server = Redacted.value(admin)
    // Who works at a tenth of the speed gets a tenth of the work.
    const sizes = (name: string) => (name === "persisted" ? [2500, 0] : [5000, 20_000])
    const samples = yield* Effect.promise(() =>
      interleave(Object.fromEntries(only.map((name) => [name, once(server, name, sizes(name))])), rounds)
    )
    const ours = samples["mahalla"] ?? []
    for (const against of only.filter((name) => name !== "mahalla"))
      for (const [metric, unit, better] of metrics)
        if (samples[against]?.[0]?.[metric] !== undefined)
          report({ bench: "jobs", metric, unit, better, against, ours, floor: samples[against] })
    figure("jobs", "idle latency p50", "ms", median(ours.map((sample) => sample["idleP50"] ?? Number.NaN)), 5)
  })
  try {
    await Effect.runPromise(Effect.scoped(work))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
