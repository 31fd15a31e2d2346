/** A town of so many citizens with their choices and addresses, on an embedded PostgreSQL, for benchmarks of what they are told. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { notifications } from "@mahalla/core"
import { Messengers } from "@mahalla/core/module"
import { Messenger } from "@mahalla/core/plugin"
import { memoryMessenger } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import pg from "pg"
import { type Database, PlatformTx, withPlatform } from "../../packages/core/src/kernel/db/Database.ts"
import { createTenant, TestKernel, testKernel } from "../../packages/core/src/testing/kernel.ts"

const { migrations } = notifications({ caseTypes: [] })
const channels = Layer.effect(
  Messengers,
  Effect.map(
    Messenger,
    (messenger) =>
      new Map(["sms", "email", "push"].map((channel) => [channel, { ...messenger, channel } as typeof messenger]))
  )
).pipe(Layer.provide(memoryMessenger()))

/** Rows in one statement. */
const batch = 50_000

const insert = Effect.fnUntraced(function* (tenantId: string, from: number, to: number) {
  const { sql } = yield* PlatformTx
  yield* sql`
    insert into mahalla.principal (tenant_id, id, kind, phone_sealed, phone_index, language)
    select ${tenantId}, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'person', 'sealed ' || md5(n::text), md5('index' || n),
      (array['uz', 'uz', 'uz-Cyrl', 'ru', 'ru', 'ka', 'en'])[n % 7 + 1]
    from generate_series(${from}::int, ${to}::int) n`
  // Every other citizen has chosen something; every tenth has a phone that takes push.
  yield* sql`
    insert into mahalla.notification_preference (tenant_id, principal_id, version, digest, categories, changed_at)
    select ${tenantId}, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1, (array['immediately', 'daily', 'weekly'])[n / 2 % 3 + 1],
      case when n % 20 = 0 then '{"city": {"channels": ["push", "sms"]}}' when n % 50 = 2 then '{"city": {"channels": []}}' else '{}' end::jsonb, now()
    from generate_series(${from}::int, ${to}::int) n where n % 2 = 0`
  yield* sql`
    insert into mahalla.notification_address (tenant_id, id, principal_id, kind, address_sealed, address_index, verified_at, created_at)
    select ${tenantId}, gen_random_uuid(), ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'push', 'sealed', md5('push' || n), now(), now()
    from generate_series(${from}::int, ${to}::int) n where n % 10 = 0`
})

/** As a town is that has been there for a while. */
const vacuumed = (admin: string) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: admin })
    await client.connect()
    await client.query("vacuum analyze")
    await client.end()
  })

/** The town on a server with fsync. */
export const withTown = async (
  citizens: number,
  work: (town: {
    readonly tenantId: string
    readonly citizens: number
  }) => Effect.Effect<void, unknown, Database | Messengers>
): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const run = Effect.gen(function* () {
    const { admin } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const rooms = Layer.merge(channels, testKernel({ postgresUrl: Redacted.value(admin), migrations }))
    yield* Effect.gen(function* () {
      const { tenantId } = yield* createTenant({ name: "Samarkand" })
      for (let from = 1; from <= citizens; from += batch)
        yield* withPlatform(insert(tenantId, from, Math.min(from + batch - 1, citizens)))
      yield* vacuumed(Redacted.value((yield* TestKernel).admin))
      yield* work({ tenantId, citizens })
    }).pipe(Effect.provide(rooms))
  })
  await Effect.runPromise(Effect.scoped(run)).finally(() => rm(folder, { recursive: true, force: true }))
}
