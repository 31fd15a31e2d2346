import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { inTransactionOf, PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { readMigration } from "../../kernel/db/Migration.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { controlRooms } from "../../test/controlRooms.ts"
import { createTenant } from "../../testing/kernel.ts"
import { createDevices } from "./devices.ts"
import { createProfile } from "./profiles.ts"
import { telemetryRetention } from "./retention.ts"

const migrations = [
  "0001_devices.sql",
  "0002_readings.sql",
  "0003_commands.sql",
  "0004_rules.sql",
  "0006_hearing.sql"
].map((file) => readMigration("telemetry", new URL(`./migrations/${file}`, import.meta.url)))

layer(controlRooms(inject("postgresUrl"), migrations), { excludeTestServices: true })("retention", (it) => {
  it.effect("drops_what_is_older_and_nothing_else", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const as = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        withTenant(tenantId)(self).pipe(Effect.provideService(Actor, system(tenantId)))
      const profile = yield* as(
        createProfile("p", {
          datastreams: [{ key: "k", title: "K", unit: "bar" }],
          format: "json",
          retention: 90
        })
      )
      const [device] = yield* as(createDevices([{ name: "d", profileId: profile.id }], () => ""))
      yield* as(
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          for (const age of [10, 400]) {
            yield* sql`
              insert into mahalla.anomaly (tenant_id, datastream, at, kind, value, low, high, score, explanation)
              select ${tenantId}, number, now() - make_interval(days => ${age}), 'range', 1, 2, 3, 1, 'x' from mahalla.datastream`
            yield* sql`
              insert into mahalla.dead_letter (tenant_id, id, received_at, device, topic, format, payload, reason, detail)
              values (${tenantId}, gen_random_uuid(), now() - make_interval(days => ${age}), 'd', 't', 'json', '', 'malformed', '')`
            yield* sql`
              insert into mahalla.reading_batch (tenant_id, number, batch, readings, first_at, last_at, received_at)
              values (${tenantId}, ${401 - age}, ${401 - age}, 1, now(), now(), now() - make_interval(days => ${age}))`
            yield* sql`
              insert into mahalla.device_command (tenant_id, id, device_id, method, params, state, created_at, changed_at, expires_at)
              values (${tenantId}, gen_random_uuid(), ${device!.id}, 'm', 'null', 'expired', now() - make_interval(days => ${age}), now(), now())`
          }
          yield* sql`
            insert into mahalla.telemetry_progress (tenant_id, follower, number) values (${tenantId}, 'judge', 1000)`
        })
      )
      for (const { days, drop, due, id } of telemetryRetention) {
        const before = new Date(Date.now() - 200 * 86_400_000)
        const asPlatform = (self: Effect.Effect<number, unknown, Erased>) =>
          withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => inTransactionOf(tenantId, sql, self)))
        const amount = () => asPlatform(due(before))
        assert.deepStrictEqual([id, days! > 0, yield* amount()], [id, true, 1])
        assert.strictEqual(yield* asPlatform(drop(before, 100)), 1)
        assert.strictEqual(yield* amount(), 0)
      }
      const left = yield* as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ left: number }>`
            select ((select count(*) from mahalla.anomaly) + (select count(*) from mahalla.dead_letter)
              + (select count(*) from mahalla.reading_batch) + (select count(*) from mahalla.device_command))::int as left`
        )
      )
      assert.deepStrictEqual(left, [{ left: 4 }])
    })
  )
})
