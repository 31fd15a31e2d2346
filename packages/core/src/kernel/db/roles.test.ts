import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import pg from "pg"
import { inject } from "vitest"
import { freshDatabase } from "../../testing/freshDatabase.ts"
import { migrate } from "./migrate.ts"
import { deriveLogins, ensureRoles, loginUrl } from "./roles.ts"

const session = (url: Redacted.Redacted<string>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(url) })
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

it.live("takes_no_passwords_away_from_a_server_that_works_with_another_secret", () =>
  Effect.gen(function* () {
    const { owner } = yield* freshDatabase(inject("postgresUrl"))
    const [first, second] = ["first", "second"].map((name) => deriveLogins(owner, Redacted.make(name.repeat(8))))
    const prepare = (logins: typeof first, refused: boolean) =>
      migrate({ owner, migrations: [], prepare: ensureRoles(logins, refused) })
    yield* prepare(first, true)
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* session(loginUrl(owner, first!.app))
        const error = yield* Effect.flip(prepare(second, true))
        assert.include(error.message, "MAHALLA_SECRET")
        // The first server's next connection is let in as before.
        yield* session(loginUrl(owner, first!.app))
      })
    )
    // Once it is gone the secret may change; a session may need a moment to end.
    yield* prepare(second, true).pipe(Effect.retry({ times: 50, schedule: Schedule.spaced("50 millis") }))
    yield* Effect.scoped(session(loginUrl(owner, second!.app)))
  }).pipe(Effect.scoped)
)

it("names_log_ins_so_that_PostgreSQL_keeps_them_whole_and_apart", () => {
  const loginsOf = (database: string) =>
    Object.values(
      deriveLogins(
        Redacted.make(`postgres://owner@localhost/${encodeURIComponent(database)}`),
        Redacted.make("a secret of thirty-two characters")
      )
    ).map(({ role }) => role)
  const names = ["city", "c".repeat(48), "c".repeat(49), "c".repeat(63), `${"c".repeat(62)}d`, "шаҳар".repeat(5)]
  const roles = names.flatMap(loginsOf)
  for (const role of roles) assert.isAtMost(Buffer.byteLength(role), 63)
  assert.strictEqual(new Set(roles).size, roles.length)
  assert.deepStrictEqual(loginsOf("city"), ["city_app_login", "city_platform_login"])
})
