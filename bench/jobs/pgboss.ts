/** pg-boss 12.35.0, tuned: batches of 200 in four workers, burst while there is more, LISTEN and NOTIFY. */
import pg from "pg"
import { importPeer } from "../peers.mjs"
import { connections, type Contender, payload } from "./contender.ts"

interface Boss {
  readonly on: (event: "error", hear: (error: Error) => void) => void
  readonly start: () => Promise<unknown>
  readonly stop: (options: unknown) => Promise<void>
  readonly createQueue: (name: string, options: unknown) => Promise<void>
  readonly send: (name: string, data: unknown) => Promise<unknown>
  readonly insert: (name: string, jobs: ReadonlyArray<unknown>) => Promise<unknown>
  readonly work: (
    name: string,
    options: unknown,
    handle: (jobs: ReadonlyArray<{ readonly data: { readonly n: number } }>) => Promise<void>
  ) => Promise<unknown>
}

export const pgboss = async (connectionString: string): Promise<Contender> => {
  const { PgBoss } = (await importPeer("pg-boss")) as { readonly PgBoss: new (options: unknown) => Boss }
  const boss = new PgBoss({
    connectionString,
    max: connections,
    useListenNotify: true,
    supervise: false,
    schedule: false
  })
  boss.on("error", (error) => console.error(error))
  await boss.start()
  await boss.createQueue("noop", { notify: true })
  const pool = new pg.Pool({ connectionString, max: 1 })
  return {
    addOne: async (n) => void (await boss.send("noop", payload(n))),
    addMany: async (numbers) =>
      void (await boss.insert(
        "noop",
        numbers.map((n) => ({ data: payload(n) }))
      )),
    work: async (done) =>
      void (await boss.work(
        "noop",
        { batchSize: 200, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
        async (jobs) => {
          for (const { data } of jobs) done(data.n)
        }
      )),
    left: async () =>
      (
        await pool.query<{ left: number }>(
          "select count(*)::int as left from pgboss.job where name = 'noop' and state < 'completed'"
        )
      ).rows[0]?.left ?? 0,
    close: async () => {
      await boss.stop({ graceful: false })
      await pool.end()
    }
  }
}
