/**
 * A city that takes readings in and judges them, in a process of its own that is killed: by MQTT, and by what else its task names. The first start
 * founds it: tenant, profile, a rule, devices whose tokens are made of their names.
 */
import { controlRoom, createCity, identity, issueLink, security, telemetry } from "@mahalla/core"
import { coap } from "@mahalla/coap"
import { mqtt, mqttConsumer } from "@mahalla/mqtt"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"
import { tcp } from "@mahalla/tcp"
import { apiVersion, definePlugin, Encoder } from "@mahalla/core/plugin"
import { memoryEncoder } from "@mahalla/core/testing"
import * as Schema from "effect/Schema"
import { serve } from "../../serve.ts"
import { highPressure, slug, tokenOf } from "./plan.ts"
import type { CityTask } from "./process.ts"

const { broker, coapPort, databaseUrl, devices, home, mqttPort, port, tcpPort } = JSON.parse(
  process.argv[2] ?? "{}"
) as CityTask

const encoder = definePlugin({
  id: "@mahalla/test-encoder",
  apiVersion,
  config: Schema.Struct({}),
  provides: [Encoder],
  layer: () => memoryEncoder
})

const city = createCity({
  home,
  mode: "dev",
  secret: "a secret for the tests of the city, not for use",
  plugins: [
    ...postgres(databaseUrl === undefined ? {} : { url: databaseUrl }),
    filesystem({}),
    outboxMessenger({}),
    encoder({}),
    mqtt({ tcp: { port: mqttPort } }),
    ...(broker === undefined ? [] : [mqttConsumer({ url: broker, clientId: "city-1", tenant: slug })]),
    ...(tcpPort === undefined ? [] : [tcp({ listeners: [{ name: "loggers", framer: "json-lines", port: tcpPort }] })]),
    ...(coapPort === undefined ? [] : [coap({ port: coapPort })])
  ],
  modules: [security(), identity(), controlRoom(), telemetry({ rules: [highPressure] })],
  logFormat: "json"
})

const found = async (url: string) => {
  await city.admin.tenants.create({
    slug,
    name: "Samarkand",
    settings: {
      timeZone: "Asia/Samarkand",
      languages: ["en"],
      country: "UZ",
      currency: "UZS",
      calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
      corsOrigins: []
    }
  })
  const { id } = await city.admin.principals.createStaff(slug, { name: "Admin", roles: ["municipality-admin"] })
  const token = await city.admin.run(slug, issueLink(id))
  const call = async (path: string, body: unknown, authorization?: string) => {
    const answer = await fetch(`${url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(authorization === undefined ? {} : { authorization }) },
      body: JSON.stringify(body)
    })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as { readonly id: string; readonly accessToken: string }
  }
  const { accessToken } = await call("/v1/auth/link", { token })
  const bearer = `Bearer ${accessToken}`
  const profile = await call(
    "/v1/device-profiles",
    {
      name: "pressure sensor",
      definition: {
        datastreams: [{ key: "pressure", title: "Pressure", unit: "bar" }],
        format: "json",
        interval: 60,
        retention: 90
      }
    },
    bearer
  )
  for (const name of devices) {
    const device = await call("/v1/devices", { name, profileId: profile.id }, bearer)
    await call(`/v1/devices/${device.id}/credentials`, { credential: { kind: "token", token: tokenOf(name) } }, bearer)
  }
}

await city.start()
const serving = await serve(city, { port, host: "127.0.0.1" })
const url = `http://127.0.0.1:${serving.port}`
if ((await city.admin.tenants.list()).length === 0) await found(url)
process.send?.({ ready: { url } })
