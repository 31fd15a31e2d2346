/** A city whose devices send and are judged, for tests of judging. */
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../kernel/db/Database.ts"
import { readMigration } from "../kernel/db/Migration.ts"
import { Actor, system } from "../kernel/policy/Principal.ts"
import type { TenantSettings } from "../kernel/tenancy/Tenant.ts"
import { updateTenant } from "../kernel/tenancy/tenants.ts"
import { makeCodecSandbox } from "../modules/telemetry/decode/codec/sandbox.ts"
import { makeDecodeAll } from "../modules/telemetry/decodeAll.ts"
import { createDevices } from "../modules/telemetry/devices.ts"
import { makeFollow } from "../modules/telemetry/Follow.ts"
import type { Follower } from "../modules/telemetry/Follower.ts"
import { makeIntake } from "../modules/telemetry/Intake.ts"
import { judge } from "../modules/telemetry/judge/judge.ts"
import { createProfile } from "../modules/telemetry/profiles.ts"
import { recent } from "../modules/telemetry/recent.ts"
import { defineRule } from "../modules/telemetry/rules/validate.ts"
import { createTenant } from "../testing/kernel.ts"

export const migrations = [
  "0001_devices.sql",
  "0002_readings.sql",
  "0003_commands.sql",
  "0004_rules.sql",
  "0006_hearing.sql"
].map((file) => readMigration("telemetry", new URL(`../modules/telemetry/migrations/${file}`, import.meta.url)))

export const highPressure = defineRule({
  id: "high-pressure",
  version: 1,
  title: { en: "Pressure too high" },
  scope: { kind: "each", profiles: ["pressure sensor"] },
  levels: [
    {
      severity: "critical",
      condition: { kind: "compare", datastream: "pressure", is: "above", than: { kind: "constant", value: 10 } }
    },
    {
      severity: "major",
      condition: { kind: "compare", datastream: "pressure", is: "above", than: { kind: "constant", value: 8 } }
    }
  ]
})

export const minute = 60_000
export const start = Date.now() - 120 * minute

export const open = Effect.gen(function* () {
  const { settings, slug, tenantId } = yield* createTenant({ settings: { timeZone: "UTC" } })
  const as = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(tenantId)(self).pipe(Effect.provideService(Actor, system(tenantId)))
  const profile = yield* as(
    createProfile("pressure sensor", {
      datastreams: [{ key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 20 }],
      format: "json",
      interval: 60,
      retention: 90
    })
  )
  yield* as(
    createDevices(
      ["p1", "p2"].map((name) => ({ name, profileId: profile.id, longitude: 66.97, latitude: 39.65 })),
      () => ""
    )
  )
  const decode = makeDecodeAll(yield* makeCodecSandbox())
  /** A process that takes in and judges; what it has gathered is lost when it is dropped without settling. */
  const process = Effect.fnUntraced(function* (judging: Follower = judge([highPressure])) {
    const follow = yield* makeFollow([recent, judging], "test")
    const intake = yield* makeIntake({ decode, told: () => {}, fresh: follow.offer, deadPerMinute: 100 })
    const sendAll = (device: string, records: ReadonlyArray<readonly [minutes: number, values: object]>) =>
      intake.receive([
        {
          from: { tenant: slug, device },
          topic: "t",
          payload: Buffer.from(
            JSON.stringify(records.map(([minutes, values]) => ({ ts: start + minutes * minute, values })))
          ),
          format: "json",
          receivedAt: Date.now()
        }
      ])
    const send = (device: string, values: ReadonlyArray<readonly [minutes: number, value: number]>) =>
      sendAll(
        device,
        values.map(([minutes, pressure]) => [minutes, { pressure }] as const)
      )
    return { follow, send, sendAll }
  })
  const alerts = as(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ name: string; severity: string; status: string; times: number }>`
        select c.data ->> 'originatorName' as name, c.data ->> 'severity' as severity, c.data ->> 'status' as status
        from mahalla.civic_case c where c.type = 'alert' order by c.id`
    )
  )
  /** As whoever runs the deployment does it. */
  const set = (change: Partial<TenantSettings>) => updateTenant(tenantId, { settings: { ...settings, ...change } })
  return { as, process, alerts, set, calendar: settings.calendar }
})
