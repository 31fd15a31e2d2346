/** A city with three sensors and an intake, for tests of readings on their way in. */
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../kernel/db/Database.ts"
import { readMigration } from "../kernel/db/Migration.ts"
import { Policy } from "../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../kernel/policy/presets.ts"
import { Actor, system } from "../kernel/policy/Principal.ts"
import { makeCodecSandbox } from "../modules/telemetry/decode/codec/sandbox.ts"
import { type DecodeAll, makeDecodeAll } from "../modules/telemetry/decodeAll.ts"
import { createDevices, type NewDevice } from "../modules/telemetry/devices.ts"
import { makeFollow } from "../modules/telemetry/Follow.ts"
import { makeIntake } from "../modules/telemetry/Intake.ts"
import { createProfile } from "../modules/telemetry/profiles.ts"
import { hours, recent } from "../modules/telemetry/recent.ts"
import type { IngestMessage } from "../ports/DeviceIngest.ts"
import { createTenant } from "../testing/kernel.ts"

export const intakeMigrations = [
  "0001_devices.sql",
  "0002_readings.sql",
  "0003_commands.sql",
  "0004_rules.sql",
  "0006_hearing.sql"
].map((file) => readMigration("telemetry", new URL(`../modules/telemetry/migrations/${file}`, import.meta.url)))

/** `now`: when messages are received. `around` may change how they are decoded. */
export const openIntake = (now: number, around: (real: DecodeAll) => DecodeAll = (real) => real) =>
  Effect.gen(function* () {
    const { slug, tenantId } = yield* createTenant()
    const follow = yield* makeFollow([recent, hours], "test")
    const decode = around(makeDecodeAll(yield* makeCodecSandbox()))
    const intake = yield* makeIntake({ decode, told: () => {}, fresh: follow.offer, deadPerMinute: 100 })
    const as = <A, E, R>(self: Effect.Effect<A, E, R>) =>
      withTenant(tenantId)(self).pipe(
        Effect.provideService(Actor, system(tenantId)),
        Effect.provideService(Policy, { roles: rolesOf(presetRoles, []) })
      )
    const profile = yield* as(
      createProfile("pressure sensor", {
        datastreams: [{ key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 20 }],
        format: "json",
        interval: 60,
        retention: 90
      })
    )
    const add = (devices: ReadonlyArray<Omit<NewDevice, "profileId">>) =>
      as(
        createDevices(
          devices.map((device) => ({ ...device, profileId: profile.id })),
          () => ""
        )
      )
    const devices = yield* add(["p1", "p2", "p3"].map((name) => ({ name })))
    const message = (device: string, readings: unknown, receivedAt = now): IngestMessage => ({
      from: { tenant: slug, device },
      topic: "t",
      payload: Buffer.from(typeof readings === "string" ? readings : JSON.stringify({ readings })),
      format: "json",
      receivedAt
    })
    const rows = <A extends object>(
      read: (sql: TenantTx["Service"]["sql"]) => Effect.Effect<ReadonlyArray<A>, unknown>
    ) => as(Effect.flatMap(TenantTx, ({ sql }) => read(sql)))
    return { tenantId, profile, follow, intake, as, add, devices, message, rows }
  })
