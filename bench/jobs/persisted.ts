/** Effect's own PersistedQueue on its SQL store; 16 takers. It has no call that adds many. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { concurrency, connections, type Contender, payload } from "./contender.ts"

const Job = Schema.Struct({ n: Schema.Number, caseId: Schema.String, reason: Schema.String })

export const persisted = async (connectionString: string): Promise<Contender> => {
  const scope = Effect.runSync(Scope.make())
  const client = PgClient.layer({ url: Redacted.make(connectionString), maxConnections: connections })
  const layer = PersistedQueue.layer.pipe(
    Layer.provide(PersistedQueue.layerStoreSql({ tableName: "bench_queue", pollInterval: "200 millis" })),
    Layer.provideMerge(client)
  )
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const queue = await Effect.runPromise(
    Effect.provide(PersistedQueue.make({ name: "noop", schema: Job, maxAttempts: 12 }), context)
  )
  const sql = Context.get(context, SqlClient.SqlClient)
  return {
    addOne: async (n) => void (await Effect.runPromise(queue.offer(payload(n)))),
    work: async (done) => {
      const taker = Effect.forever(queue.take(({ n }) => Effect.sync(() => done(n))))
      await Effect.runPromise(
        Scope.provide(
          Effect.forEach(Array.from({ length: concurrency }), () => Effect.forkScoped(taker), { discard: true }),
          scope
        )
      )
    },
    left: () =>
      Effect.runPromise(
        Effect.map(
          sql<{ readonly left: number }>`select count(*)::int as left from bench_queue where state = 'pending'`,
          (rows) => rows[0]?.left ?? 0
        )
      ),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
