/**
 * Creating a report over HTTP: token, rights, row-level security, case, event, job and idempotency key in one transaction. Beside a bare
 * fastify handler on `pg` that sends the same statements, and beside Parse Server and Directus creating a like report. 16 keep-alive
 * connections from a process of its own; one embedded PostgreSQL with fsync. `parse` and `directus` insert an object as their guides do;
 * `parse-like` and `directus-like` write what a create of ours writes. `ours` serves requests only, as the floor does;
 * `ours-whole` also orders the events, runs the jobs and everything else a city does by itself.
 * Arguments: `--rounds=9`, `--seconds=4` per slice, `--warm-up=15000` requests, `--only=ours,floor,ours-whole,parse,parse-like,directus,directus-like`.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { deriveLogins, loginUrl } from "../packages/core/src/kernel/db/roles.ts"
import { cpuOf, flags, resident, type Server, startClient, startServer } from "./http/processes.ts"
import { figure, interleave, report, type Sample } from "./measure.ts"
import { ensurePeers } from "./peers.mjs"
import { startDirectus } from "./report/directus.ts"
import { secret } from "./report/city.ts"

const script = (name: string) => join(import.meta.dirname, "report", name)
type Name = "ours" | "floor" | "ours-whole" | "parse" | "parse-like" | "directus" | "directus-like"

interface Place {
  readonly folder: string
  readonly database: () => Promise<{ readonly owner: string; readonly admin: string }>
}

const startOurs = async ({ database, folder }: Place, only: "api" | "all") => {
  const { admin, owner } = await database()
  const home = join(folder, `ours-${only}`)
  await mkdir(home, { recursive: true })
  return { server: await startServer([...flags, script("ours.ts"), owner, home, only]), owner, admin }
}

/** On the same database as ours, with the log-in that ours uses. */
const startFloor = async (ours: Awaited<ReturnType<typeof startOurs>>) => {
  const login = deriveLogins(Redacted.make(ours.owner), Redacted.make(secret)).app
  const client = new pg.Client({ connectionString: ours.admin })
  await client.connect()
  const { rows } = await client.query<{ id: string }>(
    "select id from mahalla.territory where kind = 'district' limit 1"
  )
  await client.end()
  const { id = "", tenantId = "" } = ours.server.target.facts
  const app = Redacted.value(loginUrl(Redacted.make(ours.owner), login))
  return startServer([...flags, script("floor.ts"), app, tenantId, id, rows[0]?.id ?? ""])
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const rounds = Number(value("rounds") ?? 9)
  const seconds = Number(value("seconds") ?? 4)
  const warmUp = Number(value("warm-up") ?? 15000)
  const wanted = (value("only") ?? "ours,floor,ours-whole,parse,parse-like,directus,directus-like").split(
    ","
  ) as Array<Name>
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const servers = new Map<Name, Server>()
  const client = startClient()
  const work = Effect.gen(function* () {
    const { admin, pid } = yield* launchPostgres({ dataFolder: join(folder, "postgres"), maxConnections: 200 })
    const scope = yield* Effect.scope
    const place: Place = {
      folder,
      database: async () => {
        const made = await Effect.runPromise(
          Effect.provideService(freshDatabase(Redacted.value(admin)), Scope.Scope, scope)
        )
        return { owner: Redacted.value(made.owner), admin: Redacted.value(made.admin) }
      }
    }
    const postmaster = yield* pid
    yield* Effect.promise(async () => {
      const ours = await startOurs(place, "api")
      servers.set("ours", ours.server)
      if (wanted.includes("floor")) {
        ensurePeers("floor")
        servers.set("floor", await startFloor(ours))
      }
      if (wanted.includes("ours-whole")) servers.set("ours-whole", (await startOurs(place, "all")).server)
      for (const name of ["parse", "parse-like"] as const) {
        if (!wanted.includes(name)) continue
        ensurePeers("parse")
        const how = name === "parse" ? "plain" : "like"
        servers.set(name, await startServer([script("parse.mjs"), (await place.database()).admin, how]))
      }
      for (const name of ["directus", "directus-like"] as const) {
        if (!wanted.includes(name)) continue
        const home = join(folder, name)
        await mkdir(home)
        const directus = await startDirectus((await place.database()).admin, home, name === "directus-like")
        if (directus === undefined) console.error("Directus is left out: it needs Node 20; name one in BENCH_NODE20.")
        else servers.set(name, directus)
      }
      const names = wanted.filter((name) => servers.has(name))
      const slice = async (name: Name, length: number, requests = Infinity): Promise<Sample> => {
        const { target } = servers.get(name)!
        const shape = name.startsWith("ours") ? "ours" : name.startsWith("directus") ? "directus" : name
        const cpu = () => Promise.all([cpuOf(servers.get(name)!.pid), cpuOf(postmaster)])
        const before = await cpu()
        const outcome = await client.run({ ...target, shape, connections: 16, seconds: length, requests })
        const [server, database] = (await cpu()).map((now, index) => (now - before[index]!) / outcome.done) as [
          number,
          number
        ]
        return {
          creates: outcome.perSecond,
          p50: outcome.p50,
          p99: outcome.p99,
          cpu: server,
          cpuWithDatabase: server + database
        }
      }
      // Until the code is compiled: by requests, for on a busy machine seconds say little.
      for (const name of names) await slice(name, 300, warmUp)
      const samples = await interleave(
        Object.fromEntries(names.map((name) => [name, () => slice(name, seconds)])) as Record<
          Name,
          () => Promise<Sample>
        >,
        rounds
      )
      const metrics = [
        ["creates", "1/s", "higher"],
        ["p50", "ms", "lower"],
        ["p99", "ms", "lower"],
        ["cpu", "ms of the server's CPU per create", "lower"],
        ["cpuWithDatabase", "ms of CPU per create", "lower"]
      ] as const
      const us = names.filter((name) => name.startsWith("ours"))
      for (const name of names.filter((other) => !other.startsWith("ours")))
        for (const mine of us)
          for (const [metric, unit, better] of metrics)
            report({
              bench: mine === "ours" ? "report-create" : "report-create, whole city",
              metric,
              unit,
              ours: samples[mine],
              floor: samples[name],
              against: name === "floor" ? "fastify and pg with the same statements" : name,
              better
            })
      for (const name of names)
        figure("report-create", `memory after, ${name}`, "MB", await resident(servers.get(name)!.pid))
    })
  })
  await Effect.runPromise(
    Effect.scoped(
      Effect.ensuring(
        work,
        Effect.promise(async () => {
          client.stop()
          for (const server of servers.values()) await server.stop()
        })
      )
    )
  ).finally(() => rm(folder, { recursive: true, force: true }))
}
