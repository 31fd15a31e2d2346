/**
 * A city under an ordinary day's load: 10,000 requests a minute for ten minutes (reads by id, lists, boxes, text searches, creates with
 * idempotency keys) on a whole server with everything that it does by itself. Each request has its moment; what it waits counts.
 * Arguments: `--minutes=10` (or STEADY_MINUTES), `--rate=10000` a minute.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { cpuOf, flags, resident, startClient, startServer } from "./http/processes.ts"
import { figure, quantile } from "./measure.ts"

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const minutes = Number(value("minutes") ?? process.env["STEADY_MINUTES"] ?? 10)
  const rate = Number(value("rate") ?? 10_000)
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const client = startClient()
  const work = Effect.gen(function* () {
    const { admin } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const { owner } = yield* freshDatabase(Redacted.value(admin))
    yield* Effect.promise(async () => {
      const home = join(folder, "home")
      await mkdir(home)
      const script = join(import.meta.dirname, "report/ours.ts")
      const server = await startServer([...flags, script, Redacted.value(owner), home])
      try {
        const { facts, port } = server.target
        const load = { port, facts, connections: 32 }
        await client.run({ ...load, shape: "ours", seconds: 5 })
        const page = await fetch(`http://127.0.0.1:${port}/v1/cases?limit=200`, {
          headers: { authorization: `Bearer ${facts["token"]}` }
        })
        const { items } = (await page.json()) as { readonly items: ReadonlyArray<{ readonly id: string }> }
        const mixed = {
          ...load,
          facts: { ...facts, ids: items.map(({ id }) => id).join(",") },
          shape: "mixed",
          rate: rate / 60
        }
        // Until everything has been compiled.
        await client.run({ ...mixed, seconds: 20 })
        const samples: Array<{ done: number; p50: number; p99: number; memory: number }> = []
        const from = { memory: await resident(server.pid), cpu: await cpuOf(server.pid) }
        // An access token lives a quarter of an hour; parts of half a minute show a drift.
        for (let part = 0; part < minutes * 2; part++) {
          const { done, p50, p99 } = await client.run({ ...mixed, seconds: 30 })
          samples.push({ done, p50, p99, memory: await resident(server.pid) })
          console.error(JSON.stringify({ part, ...samples.at(-1), load: loadavg()[0] }))
        }
        const done = samples.reduce((sum, sample) => sum + sample.done, 0)
        const of = (name: "p50" | "p99" | "memory") => samples.map((sample) => sample[name])
        figure("steady", "requests a minute", "1/min", done / minutes, rate)
        figure("steady", "p50, median of half minutes", "ms", quantile(of("p50"), 0.5))
        figure("steady", "p99, median of half minutes", "ms", quantile(of("p99"), 0.5))
        figure("steady", "p99, worst half minute", "ms", Math.max(...of("p99")))
        figure("steady", "memory before", "MB", from.memory)
        figure("steady", "memory after", "MB", samples.at(-1)?.memory ?? Number.NaN)
        figure("steady", "memory, most", "MB", Math.max(...of("memory")))
        figure("steady", "CPU per request", "ms", ((await cpuOf(server.pid)) - from.cpu) / done)
        figure("steady", "load average", "", loadavg()[0] ?? Number.NaN)
      } finally {
        await server.stop()
      }
    })
  })
  await Effect.runPromise(Effect.scoped(work)).finally(() => {
    client.stop()
    return rm(folder, { recursive: true, force: true })
  })
}
