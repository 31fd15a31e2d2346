/**
 * What it costs to know who asks, whether they may, and to keep the tenant's rows apart: creating a report with the token's check, the policy
 * and the tenant's setting, beside the same handler in the same kind of transaction without them. Server CPU per create; 16 keep-alive
 * connections from a process of its own, one embedded PostgreSQL. Arguments: `--rounds=9`, `--seconds=4` per slice, `--warm-up=3000` requests.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { cpuOf, flags, startClient, startServer } from "./http/processes.ts"
import { figure, interleave, report, type Sample } from "./measure.ts"
import { benchCity, citizenOf } from "./report/city.ts"

const ways = ["with", "without"] as const
type Way = (typeof ways)[number]

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const rounds = Number(value("rounds") ?? 9)
  const seconds = Number(value("seconds") ?? 4)
  const warmUp = Number(value("warm-up") ?? 3000)
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const client = startClient()
  const work = Effect.gen(function* () {
    const { admin: superuser, pid } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const made = yield* freshDatabase(Redacted.value(superuser))
    const [owner, admin] = [Redacted.value(made.owner), Redacted.value(made.admin)]
    const postmaster = yield* pid
    yield* Effect.promise(async () => {
      const home = join(folder, "home")
      await mkdir(home)
      const founding = benchCity({ databaseUrl: owner, home, only: [] })
      await founding.start()
      const { id, token } = await citizenOf(founding)
      await founding.close()
      const script = join(import.meta.dirname, "authorize/server.ts")
      const servers = {} as Record<Way, Awaited<ReturnType<typeof startServer>>>
      try {
        for (const way of ways) servers[way] = await startServer([...flags, script, owner, home, admin, way, id, token])
        const slice = async (way: Way, length: number, requests = Infinity): Promise<Sample> => {
          const { pid: process, target } = servers[way]
          const cpu = () => Promise.all([cpuOf(process), cpuOf(postmaster)])
          const before = await cpu()
          const outcome = await client.run({ ...target, shape: "ours", connections: 16, seconds: length, requests })
          const [server, database] = (await cpu()).map((now, index) => (now - before[index]!) / outcome.done) as [
            number,
            number
          ]
          return { cpu: server, cpuWithDatabase: server + database, creates: outcome.perSecond, p50: outcome.p50 }
        }
        for (const way of ways) await slice(way, 300, warmUp)
        const samples = await interleave(
          { with: () => slice("with", seconds), without: () => slice("without", seconds) },
          rounds
        )
        const compared = { bench: "authorize", ours: samples.with, floor: samples.without, against: "the same without" }
        const ratio = report({ ...compared, metric: "cpu", unit: "ms of the server's CPU per create", better: "lower" })
        report({ ...compared, metric: "cpuWithDatabase", unit: "ms of CPU per create", better: "lower" })
        report({ ...compared, metric: "creates", unit: "1/s" })
        report({ ...compared, metric: "p50", unit: "ms", better: "lower" })
        figure("authorize", "server CPU added", "%", (1 / ratio - 1) * 100, 15)
        figure("authorize", "load average", "", loadavg()[0] ?? Number.NaN)
      } finally {
        for (const server of Object.values(servers)) await server.stop()
      }
    })
  })
  await Effect.runPromise(Effect.scoped(work)).finally(() => {
    client.stop()
    return rm(folder, { recursive: true, force: true })
  })
}
