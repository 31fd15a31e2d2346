import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import { inject } from "vitest"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { intakeMigrations } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import { ensurePartition, keepPartitions } from "./partitions.ts"

const day = 86_400_000

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "partitions",
  (it) => {
    it.effect("whose_time_is_over_go_though_another_one_is_being_read", () =>
      Effect.gen(function* () {
        const old = Date.now() - 100 * day
        yield* Effect.forEach(["reading_7", "reading_30"], (parent) => ensurePartition(parent, old))
        const [locked, done] = [yield* Latch.make(), yield* Latch.make()]
        const reading = withPlatform(
          Effect.flatMap(PlatformTx, ({ sql }) =>
            Effect.andThen(
              sql`select count(*) from mahalla.reading where retention = 7`,
              Effect.andThen(locked.open, done.await)
            )
          )
        )
        const reader = yield* Effect.forkChild(reading)
        yield* locked.await
        yield* Effect.exit(keepPartitions)
        yield* done.open
        yield* Fiber.join(reader)
        const left = yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) => sql<{ name: string }>`
              select relname as name from pg_class where relname ~ '^reading_(7|30)_p\\d+$' and right(relname, 8)::date < current_date - 90`
          )
        )
        assert.deepStrictEqual(
          left.map(({ name }) => name.split("_p")[0]),
          ["reading_7"]
        )
      })
    )
  }
)
