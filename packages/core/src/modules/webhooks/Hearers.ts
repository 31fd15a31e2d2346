/** Who hears of events through endpoints, as they were a few seconds ago at most: many events are judged for the same few principals. */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { Database } from "../../kernel/db/Database.ts"
import { loadPrincipal } from "../../kernel/policy/load.ts"
import type { Principal } from "../../kernel/policy/Principal.ts"
import { RoleBook } from "../../kernel/policy/roles.ts"

/** Seconds after which a change of somebody's rights counts. */
const goodFor = 5

export class Hearers extends Context.Service<
  Hearers,
  {
    /** Undefined: blocked, gone, or of a closed city. */
    readonly principal: (tenantId: string, id: string) => Effect.Effect<Principal | undefined, unknown>
  }
>()("@mahalla/webhooks/Hearers") {
  static readonly layer = Layer.effect(
    Hearers,
    Effect.gen(function* () {
      const database = yield* Database
      const book = yield* RoleBook
      const cache = yield* Cache.makeWith<string, Principal | undefined, unknown>(
        (key) => {
          const [tenantId = "", id = ""] = key.split(" ")
          return loadPrincipal(tenantId, id).pipe(
            Effect.catchTags({
              Unauthorized: () => Effect.succeed(undefined),
              Suspended: () => Effect.succeed(undefined)
            }),
            Effect.provideService(Database, database),
            Effect.provideService(RoleBook, book),
            // Several may wait for one answer: it must not live in the transaction of whoever asked first.
            Effect.updateContext((context: Context.Context<never>) =>
              Context.omit(database.app.transactionService)(context)
            )
          )
        },
        {
          capacity: 10_000,
          timeToLive: (exit) => (Exit.isSuccess(exit) ? Duration.seconds(goodFor) : Duration.zero)
        }
      )
      return Hearers.of({ principal: (tenantId, id) => Cache.get(cache, `${tenantId} ${id}`) })
    })
  )
}
