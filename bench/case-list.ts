/**
 * Lists of cases in one municipality of 10,000 and in one of 1,000,000, through the engine as the role `app` under row-level security,
 * the two in turns. What is asked for gives a full page in both. Arguments: `--cases=1000000`, `--rounds=9`, `--calls=40` per slice,
 * `--explain` prints the plans too.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { City } from "@mahalla/core"
import { freshDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { asks } from "./cases/asks.ts"
import { fill } from "./cases/fill.ts"
import { interleave, median, quantile, report } from "./measure.ts"
import { benchCity, citizenOf, tenantSlug } from "./report/city.ts"

interface Place {
  readonly city: City
  readonly who: readonly [string, string]
  readonly admin: string
  readonly large: boolean
}

const open = async (folder: string, database: { owner: string; admin: string }, cases: number): Promise<Place> => {
  const large = cases > 10_000
  const city = benchCity({
    databaseUrl: database.owner,
    home: join(folder, String(cases)),
    only: ["api"],
    public: false
  })
  await city.start()
  const { id, tenantId } = await citizenOf(city)
  await fill(database.admin, { cases, inCity: large ? 50 : 100, tenantId, ownerId: id })
  const staff = (roles: ReadonlyArray<string>) =>
    city.admin.principals.createStaff(tenantSlug, { name: "Staff", roles })
  const [all, one] = [await staff(["inspector"]), await staff(["inspector"])]
  const client = new pg.Client({ connectionString: database.admin })
  await client.connect()
  await client.query(
    `update mahalla.role_grant set territory_id = (select id from mahalla.territory where kind = 'district' order by id limit 1) where principal_id = $1`,
    [one.id]
  )
  await client.end()
  return { city, who: [all.id, one.id], admin: database.admin, large }
}

/** Prints the plans of what the engine sends, as the server itself writes them down. */
const explain = async (place: Place, database: { owner: string; admin: string }, folder: string) => {
  const client = new pg.Client({ connectionString: database.admin })
  await client.connect()
  const { rows } = await client.query<{ name: string }>("select current_database() as name")
  for (const [name, value] of [
    ["auto_explain.log_min_duration", "0"],
    ["auto_explain.log_analyze", "on"],
    ["auto_explain.log_nested_statements", "on"],
    ["auto_explain.log_buffers", "on"],
    ["auto_explain.log_timing", "off"],
    ["session_preload_libraries", "auto_explain"]
  ])
    await client.query(`alter database ${rows[0]?.name} set ${name} = '${value}'`)
  await client.end()
  const home = join(folder, "explain")
  const city = benchCity({ databaseUrl: database.owner, home, only: ["api"], public: false })
  await city.start()
  const log = join(folder, "postgres.log")
  for (const [name, ask] of Object.entries(asks(true))) {
    const from = (await readFile(log, "utf8")).length
    const who = { tenant: tenantSlug, principal: { id: place.who[ask.who ?? 0] } }
    await city.as(who).cases.list({ ...ask.filter(1), limit: ask.limit })
    await sleep(200)
    console.log(`\n=== ${name}\n${(await readFile(log, "utf8")).slice(from)}`)
  }
  await city.close()
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const rounds = Number(value("rounds") ?? 9)
  const calls = Number(value("calls") ?? 40)
  const only = value("only")
  const folder = value("folder") ?? (await mkdtemp(join(tmpdir(), "mahalla-bench-")))
  const work = Effect.gen(function* () {
    // Nothing is measured that is written.
    const { admin } = yield* launchPostgres({ dataFolder: join(folder, "postgres"), durable: false })
    const scope = yield* Effect.scope
    const database = async () => {
      const made = await Effect.runPromise(
        Effect.provideService(freshDatabase(Redacted.value(admin)), Scope.Scope, scope)
      )
      return { owner: Redacted.value(made.owner), admin: Redacted.value(made.admin) }
    }
    yield* Effect.promise(async () => {
      const small = await open(folder, await database(), 10_000)
      const many = await database()
      const large = await open(folder, many, Number(value("cases") ?? 1_000_000))
      if (args.includes("--explain")) await explain(large, many, folder)
      const measure = async (place: Place, name: string, round: number) => {
        const ask = asks(place.large)[name]!
        const times: Array<number> = []
        let found = 0
        for (let n = 0; n < calls; n++) {
          const from = performance.now()
          const who = { tenant: tenantSlug, principal: { id: place.who[ask.who ?? 0] } }
          const page = await place.city.as(who).cases.list({ ...ask.filter(round * calls + n), limit: ask.limit })
          times.push(performance.now() - from)
          found += page.items.length
        }
        return { [name]: quantile(times, 0.5), found: found / calls }
      }
      for (const name of Object.keys(asks(false)).filter((known) => only === undefined || known.includes(only))) {
        for (const place of [small, large]) await measure(place, name, 0)
        const times = await interleave(
          {
            large: (round) => measure(large, name, round + 1),
            small: (round) => measure(small, name, round + 1)
          },
          rounds
        )
        console.error(
          `${name}: rows in a page ${median(times.small.map((sample) => sample["found"] ?? 0))} and ${median(times.large.map((sample) => sample["found"] ?? 0))}`
        )
        // The ratio is how many times longer the large table takes.
        report({
          bench: "case-list",
          metric: name,
          unit: "ms",
          ours: times.large,
          floor: times.small,
          against: "10,000 cases"
        })
      }
      await small.city.close()
      await large.city.close()
    })
  })
  await Effect.runPromise(Effect.scoped(work)).finally(() => rm(folder, { recursive: true, force: true }))
}
