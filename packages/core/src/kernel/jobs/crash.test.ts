import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import pg from "pg"
import { inject } from "vitest"
import { hostDatabase } from "../../testing/hostDatabase.ts"

const script = fileURLToPath(new URL("../../test/jobWorker.ts", import.meta.url))
const amount = 800
const kills = 5

/** One worker after the other is killed while it works; the last one finds what they have left. */
it.live("runs_every_job_although_workers_are_killed_in_the_middle", () =>
  Effect.gen(function* () {
    const { admin, host } = yield* hostDatabase(inject("postgresUrl"))
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const opened = new pg.Pool({ connectionString: Redacted.value(admin), max: 1 })
        // `end` does not wait for the sockets: the database may be dropped before they are closed.
        return opened.on("error", () => {})
      }),
      (open) => Effect.promise(() => open.end())
    )
    const one = <A>(text: string) => Effect.promise(async () => (await pool.query<{ value: A }>(text)).rows[0]!.value)
    const children = new Set<ChildProcess>()
    const start = (name: string) => {
      const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
      const child = spawn(
        process.execPath,
        [...flags, script, Redacted.value(host.platform), Redacted.value(admin), name],
        {
          stdio: ["ignore", "ignore", "inherit"]
        }
      )
      children.add(child)
      return child
    }
    const kill = (child: ChildProcess) =>
      Effect.promise(async () => {
        if (!children.delete(child)) return
        child.kill("SIGKILL")
        await once(child, "exit")
      })
    yield* Effect.addFinalizer(() => Effect.forEach([...children], kill, { discard: true }))

    yield* Effect.promise(() => pool.query("create table public.ran (id uuid, worker text)"))
    yield* Effect.promise(() =>
      pool.query(
        `insert into mahalla.job (tenant_id, id, topic, body)
         select gen_random_uuid(), gen_random_uuid(), 'crash.test', '{}' from generate_series(1, $1)`,
        [amount]
      )
    )
    const ids = yield* one<ReadonlyArray<string>>("select array_agg(id::text order by id) as value from mahalla.job")
    const until = (what: string, query: string) =>
      Effect.gen(function* () {
        for (let waited = 0; !(yield* one<boolean>(query)); waited += 10) {
          if (waited > 40_000) assert.fail(what)
          yield* Effect.sleep("10 millis")
        }
      })
    for (let strike = 1; strike <= kills; strike++) {
      const victim = start(`w${strike}`)
      yield* until(
        "a worker does not begin",
        `select count(*) > 25 as value from public.ran where worker = 'w${strike}'`
      )
      yield* kill(victim)
    }
    const left = yield* one<number>("select count(*)::int as value from mahalla.job where lease_until is not null")
    assert.isAbove(left, 0, "the kills came too late to hurt")
    start("last")
    yield* until("jobs are left over", "select count(*) = 0 as value from mahalla.job")
    assert.deepStrictEqual(
      yield* one("select array_agg(distinct id::text order by id::text) as value from public.ran"),
      ids
    )
    const runs = yield* one<number>("select count(*)::int as value from public.ran")
    // At least once: what was leased at the moment of a kill may have run already.
    assert.isAtMost(runs - amount, kills * 500)
    console.info(`${amount} jobs, ${kills} kills: ${left} leased when the last worker died, ${runs - amount} ran twice`)
  })
)
