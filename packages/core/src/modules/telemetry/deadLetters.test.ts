import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { intakeMigrations, openIntake } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import { listDeadLetters } from "./deadLetters.ts"

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "dead letters",
  (it) => {
    it.effect("are_listed_in_pages_that_memory_can_hold_and_none_is_left_out", () =>
      Effect.gen(function* () {
        const { as, rows } = yield* openIntake(Date.now())
        yield* rows(
          (sql) => sql`
            insert into mahalla.dead_letter (tenant_id, id, received_at, device, topic, format, payload, reason, detail)
            select mahalla.current_tenant(), gen_random_uuid(), now(), 'p1', 't', 'json', decode(repeat('00', 1000000), 'hex'), 'malformed', ''
            from generate_series(1, 20)`
        )
        const ids = new Set<string>()
        const sizes: Array<number> = []
        let cursor: string | undefined
        do {
          const page: Effect.Success<ReturnType<typeof listDeadLetters>> = yield* as(
            listDeadLetters({}, { limit: 200, cursor })
          )
          for (const { id } of page.items) ids.add(id)
          sizes.push(page.items.length)
          cursor = page.cursor
        } while (cursor !== undefined)
        assert.deepStrictEqual([sizes, ids.size], [[8, 8, 4], 20])
      })
    )
  }
)
