/** The city of the benchmarks: a control room and devices with twenty rules each, fed by an outside broker, by its own and over HTTP. */
import { controlRoom, createCity, identity, live, security, telemetry } from "@mahalla/core"
import { TenantTx } from "@mahalla/core/module"
import { mqttConsumer } from "@mahalla/mqtt"
import { defaults, serve } from "@mahalla/server"
import * as Effect from "effect/Effect"
import { newId } from "../../packages/core/src/kernel/ids.ts"
import { beginSession } from "../../packages/core/src/modules/identity/index.ts"
import { sha256 } from "../../packages/core/src/modules/telemetry/credentials.ts"
import { createDevices } from "../../packages/core/src/modules/telemetry/devices.ts"
import { createProfile } from "../../packages/core/src/modules/telemetry/profiles.ts"
import { secret, tenant, tenantSlug } from "../report/city.ts"
import { deviceName, keys, tokenOf } from "./readings.ts"
import { twentyRules } from "./rules.ts"

export interface OursOptions {
  readonly databaseUrl: string
  readonly home: string
  readonly devices: number
  /** Of the outside broker. */
  readonly brokerPort: number
  readonly prefix: string
  /** Of our own broker. */
  readonly ownPort: number
  /** Days that readings are kept. */
  readonly retention: 90 | 1825
}

export interface OursReady {
  readonly port: number
  readonly tenantId: string
  /** Of somebody who may read everything. */
  readonly token: string
}

const { brokerPort, databaseUrl, devices, home, ownPort, prefix, retention } = JSON.parse(
  process.argv[2]!
) as OursOptions
const city = createCity({
  home,
  secret,
  plugins: [
    ...defaults({ databaseUrl, payments: "none", mqtt: { tcp: { port: ownPort } } }),
    mqttConsumer({ url: `mqtt://127.0.0.1:${brokerPort}`, clientId: "city", tenant: tenantSlug, prefix })
  ],
  modules: [security(), identity(), controlRoom(), telemetry({ rules: twentyRules }), live()],
  // Staff that has no second factor may read.
  mode: "dev",
  logFormat: "json",
  logLevel: "Warn"
})
await city.start()
const { tenantId } = await city.admin.tenants.create(tenant)
const engine = city.as({ tenant: tenantSlug, principal: "system" })
const profile = await engine.run(
  createProfile("p", {
    datastreams: keys.map((key) => ({ key, title: key, unit: "1", minimum: 0, maximum: 100 })),
    format: "json",
    interval: 60,
    retention
  })
)
for (let from = 0; from < devices; from += 500)
  await engine.run(
    createDevices(
      Array.from({ length: Math.min(500, devices - from) }, (_, place) => ({
        name: deviceName(from + place),
        profileId: profile.id,
        gateway: from + place === 0,
        longitude: 66.9 + place / 10_000,
        latitude: 39.6
      })),
      () => ""
    )
  )
const tokens = Array.from({ length: devices }, (_, place) => place)
await engine.run(
  Effect.gen(function* () {
    const { sql } = yield* TenantTx
    const ids = yield* Effect.forEach(tokens, () => newId)
    yield* sql`
      insert into mahalla.device_credential (tenant_id, id, device_id, kind, lookup, secret, label, valid_from)
      select d.tenant_id, t.id, d.id, 'token', t.lookup, null, 'bench', now()
      from unnest(${ids}::uuid[], ${tokens.map(deviceName)}::text[], ${tokens.map((place) => sha256(tokenOf(place)))}::bytea[]) as t (id, name, lookup)
      join mahalla.device d on d.name = t.name`
    yield* sql`update mahalla.device set attributes = '{"high": 95, "low": 5}'`
  })
)
const { id } = await city.admin.principals.createStaff(tenantSlug, {
  name: "Reader",
  roles: ["device-engineer", "control-room-operator"]
})
const { accessToken: token } = await city.admin.run(
  tenantSlug,
  beginSession(id, "code", { device: undefined, userAgent: undefined })
)
const serving = await serve(city, { port: 0, host: "127.0.0.1" })
process.send?.({ port: serving.port, tenantId, token } satisfies OursReady)
process.on("disconnect", () => {
  void serving.close(2000).then(() => process.exit(0))
})
