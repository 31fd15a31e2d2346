/** graphile-worker 0.18.0, tuned as its own documentation advises for throughput: a local queue of 500, completions in batches. */
import pg from "pg"
import { importPeer } from "../peers.mjs"
import { concurrency, connections, type Contender, payload } from "./contender.ts"

interface Utils {
  readonly migrate: () => Promise<void>
  readonly release: () => Promise<void>
  readonly addJob: (task: string, payload: unknown) => Promise<unknown>
  readonly addJobs: (
    jobs: ReadonlyArray<{ readonly identifier: string; readonly payload: unknown }>
  ) => Promise<unknown>
}
interface Graphile {
  readonly makeWorkerUtils: (options: unknown) => Promise<Utils>
  readonly run: (options: unknown) => Promise<{ readonly stop: () => Promise<void> }>
  readonly Logger: new (factory: () => () => void) => unknown
}

const preset = (tuned: boolean) => ({
  worker: tuned
    ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0, concurrentJobs: concurrency }
    : { concurrentJobs: concurrency }
})

export const graphile =
  (tuned: boolean) =>
  async (connectionString: string): Promise<Contender> => {
    const { Logger, makeWorkerUtils, run } = (await importPeer("graphile-worker")) as Graphile
    const logger = new Logger(() => () => {})
    const pgPool = new pg.Pool({ connectionString, max: connections })
    const utils = await makeWorkerUtils({ pgPool, logger })
    await utils.migrate()
    let stop = () => Promise.resolve()
    return {
      addOne: async (n) => void (await utils.addJob("noop", payload(n))),
      addMany: async (numbers) =>
        void (await utils.addJobs(numbers.map((n) => ({ identifier: "noop", payload: payload(n) })))),
      work: async (done) => {
        const runner = await run({
          pgPool,
          logger,
          concurrency,
          noHandleSignals: true,
          preset: preset(tuned),
          taskList: { noop: (job: { readonly n: number }) => done(job.n) }
        })
        stop = () => runner.stop()
      },
      left: async () =>
        (await pgPool.query<{ left: number }>("select count(*)::int as left from graphile_worker.jobs")).rows[0]
          ?.left ?? 0,
      close: async () => {
        await stop()
        await utils.release()
        await pgPool.end()
      }
    }
  }
