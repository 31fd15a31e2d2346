/**
 * Devices and what they measure: profiles, credentials, readings with their last values and roll-ups, what could not be used, commands; rules over
 * readings, and leaks in hydraulic zones. Transports are plugins of the port DeviceIngest; readings over HTTP need none.
 */
import { randomUUID } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readMigration } from "../../kernel/db/Migration.ts"
import { whileLeader } from "../../kernel/leases/lease.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { DeviceTransports } from "../../kernel/ports.ts"
import { TelemetrySettingsChanged } from "./anomalies.ts"
import { TelemetryApi } from "./api.ts"
import { expireCommands } from "./commands.ts"
import { CodecSandbox, makeCodecSandbox } from "./decode/codec/sandbox.ts"
import { makeDecodeAll } from "./decodeAll.ts"
import { Follow, makeFollow } from "./Follow.ts"
import { telemetryApiLayer } from "./handlers.ts"
import { Downlinks, makeDownlinks, makeHost } from "./Host.ts"
import { type Fresh, Intake, makeIntake } from "./Intake.ts"
import { LiveReadings, makeLiveReadings } from "./live/LiveReadings.ts"
import { openMount, takes } from "./mount.ts"
import { markOffline } from "./offline.ts"
import { judge } from "./judge/judge.ts"
import { keepPartitions } from "./partitions.ts"
import { hours, recent } from "./recent.ts"
import { DeploymentRules } from "./ruleCheck.ts"
import type { RuleDefinition } from "./rules/definition.ts"
import { telemetryRetention } from "./retention.ts"
import { DeviceProvisioningChanged } from "./provisioning.ts"
import { RuleChanged } from "./storedRules.ts"
import { LeaksAccepted } from "./zones/leaks.ts"
import { watchZones } from "./zones/watch.ts"
import { HydraulicZoneChanged } from "./zones/zones.ts"

export { defineRule } from "./rules/validate.ts"

export { LiveReadings } from "./live/LiveReadings.ts"
export { ReadingFilter, readingReader } from "./live/Reader.ts"

/** Rows that a process writes to a tenant's dead letters in a minute, at most. */
const deadPerMinute = 1000

const holder = `telemetry:${process.pid}:${randomUUID().slice(0, 8)}`

const services = (rules: ReadonlyArray<RuleDefinition>) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const follow = yield* makeFollow([recent, hours, judge(rules), watchZones], holder)
      const sandbox = yield* makeCodecSandbox()
      const downlinks = yield* makeDownlinks(sandbox)
      const decode = makeDecodeAll(sandbox)
      const live = yield* makeLiveReadings
      const fresh = (batch: Fresh) => {
        follow.offer(batch)
        live.offer(batch)
      }
      const intake = yield* makeIntake({ decode, told: downlinks.told, fresh, deadPerMinute })
      return Context.make(Follow, follow).pipe(
        Context.add(Downlinks, downlinks),
        Context.add(Intake, intake),
        Context.add(CodecSandbox, sandbox),
        Context.add(LiveReadings, live),
        Context.add(DeploymentRules, rules)
      )
    })
  )

/** Every transport of the city, for as long as the process takes things in. */
const listen = Effect.gen(function* () {
  const transports = yield* DeviceTransports
  if (transports.size === 0) return
  const host = yield* makeHost
  for (const [name, transport] of transports) {
    const { addresses } = yield* transport.serve(host)
    yield* Effect.logInfo(`${name} takes readings${addresses.length === 0 ? "" : ` at ${addresses.join(", ")}`}`)
  }
  yield* Effect.forkScoped(Effect.flatMap(Downlinks, ({ offer }) => offer))
})

export interface TelemetryOptions {
  /** Rules that hold in every city of the deployment; a city's own rule of the same id takes a rule's place. */
  readonly rules?: ReadonlyArray<RuleDefinition>
}

export const telemetry = ({ rules = [] }: TelemetryOptions = {}): Module =>
  defineModule({
    id: "telemetry",
    requires: ["control-room"],
    schedules: [
      { id: "telemetry.partitions", cron: "*/10 * * * *", run: keepPartitions },
      { id: "telemetry.commands", cron: "* * * * *", run: expireCommands }
    ],
    works: [
      Effect.flatMap(Follow, ({ run }) => run),
      whileLeader({ name: "telemetry-offline", holder }, Effect.andThen(markOffline, Effect.sleep("3 seconds")))
    ],
    listen,
    permissions: [
      "device-profile.read",
      "device-profile.manage",
      "device.read",
      "device.manage",
      "device.command",
      "device-credential.manage",
      "device-provisioning.read",
      "device-provisioning.manage",
      "reading.read",
      "dead-letter.read",
      "dead-letter.replay",
      "rule.read",
      "rule.manage",
      "telemetry-settings.read",
      "telemetry-settings.manage",
      "hydraulic-zone.read",
      "hydraulic-zone.manage",
      "leak.accept"
    ],
    events: [DeviceProvisioningChanged, HydraulicZoneChanged, LeaksAccepted, RuleChanged, TelemetrySettingsChanged],
    roles: [
      {
        id: "device-engineer",
        title: "Device engineer",
        permissions: [
          "device-profile.*",
          "device.*",
          "device-credential.*",
          "device-provisioning.*",
          "reading.read",
          "dead-letter.*",
          "rule.*",
          "telemetry-settings.*",
          "hydraulic-zone.*",
          "leak.accept",
          "case-type.read"
        ]
      }
    ],
    retention: telemetryRetention,
    migrations: [
      "0001_devices.sql",
      "0002_readings.sql",
      "0003_commands.sql",
      "0004_rules.sql",
      "0005_hydraulic-zones.sql",
      "0006_hearing.sql"
    ].map((file) => readMigration("telemetry", new URL(`./migrations/${file}`, import.meta.url))),
    api: { definition: TelemetryApi, layer: telemetryApiLayer },
    mount: { takes, open: openMount },
    layer: services(rules)
  })
