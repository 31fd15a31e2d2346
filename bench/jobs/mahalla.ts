/** Our queue and worker, with their defaults. */
import { HostDatabase, Queue } from "@mahalla/core/plugin"
import { hostDatabase } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import pg from "pg"
import * as Redacted from "effect/Redacted"
import { newId } from "../../packages/core/src/kernel/ids.ts"
import { runWorker } from "../../packages/core/src/kernel/jobs/worker.ts"
import { layerQueue } from "../../packages/plugins/postgres/src/PostgresQueue.ts"
import { concurrency, connections, type Contender, payload } from "./contender.ts"

const tenantId = "0198f3a2-7c44-7000-8000-000000000001"
const topic = "bench.noop"

export const mahalla = async (server: string): Promise<Contender> => {
  const scope = Effect.runSync(Scope.make())
  const database = await Effect.runPromise(Scope.provide(hostDatabase(server), scope))
  const layer = layerQueue({ maxConnections: connections }).pipe(
    Layer.provide(Layer.succeed(HostDatabase, database.host))
  )
  const queue = Context.get(await Effect.runPromise(Layer.buildWithScope(layer, scope)), Queue)
  const admin = new pg.Pool({ connectionString: Redacted.value(database.admin), max: 1 })
  const send = (numbers: ReadonlyArray<number>) =>
    Effect.runPromise(
      Effect.flatMap(
        Effect.forEach(numbers, (n) => Effect.map(newId, (id) => ({ id, tenantId, topic, body: payload(n) }))),
        queue.send
      )
    )
  return {
    addOne: (n) => send([n]),
    addMany: send,
    work: (done) =>
      Effect.runPromise(
        Scope.provide(
          runWorker({
            queue,
            worker: "bench",
            concurrency,
            handlers: {
              [topic]: { handle: ({ body }) => Effect.sync(() => done((body as { readonly n: number }).n)) }
            }
          }),
          scope
        )
      ),
    left: async () =>
      (await admin.query<{ left: number }>("select count(*)::int as left from mahalla.job")).rows[0]?.left ?? 0,
    close: async () => {
      await admin.end()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
