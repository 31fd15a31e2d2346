/** A worker in a process of its own, to be killed: each job writes its id into the table `ran`. */
import { postgresQueue } from "@mahalla/postgres"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import pg from "pg"
import { runWorker } from "../kernel/jobs/worker.ts"
import { HostDatabase } from "../plugin/Host.ts"
import { Queue } from "../ports/Queue.ts"

const [platform = "", admin = "", name = ""] = process.argv.slice(2)
const url = Redacted.make(platform)
const pool = new pg.Pool({ connectionString: admin, max: 4 })
const host = Layer.succeed(HostDatabase, { platform: url, listen: url, pooled: false })

const work = Effect.gen(function* () {
  const context = (yield* Layer.build(
    postgresQueue({}).layer.pipe(Layer.provide(host as Layer.Layer<never>))
  )) as Context.Context<Queue>
  yield* runWorker({
    queue: Context.get(context, Queue),
    worker: name,
    concurrency: 8,
    lease: 1_000,
    poll: 100,
    handlers: {
      "crash.test": {
        handle: ({ id }) =>
          Effect.andThen(
            Effect.promise(() => pool.query("insert into public.ran (id, worker) values ($1, $2)", [id, name])),
            Effect.sleep("10 millis")
          )
      }
    }
  })
  yield* Effect.never
})
await Effect.runPromise(Effect.scoped(work) as Effect.Effect<never, unknown>)
