/** What tests of rules over HTTP have in common: devices with profiles of their own, rules about them, alerts that came of it. */
import { expect } from "vitest"
import type { CityKit } from "./cityKit.ts"
import { type Client, until } from "./client.ts"

const profileDefinition = {
  datastreams: [{ key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 20 }],
  format: "json",
  interval: 60,
  retention: 90
}

/** A device with a token, of a profile of its own so that no other test's rules are about it. */
const makeDevice = async (kit: CityKit, client: Client, name: string) => {
  const profile = await client.post("/v1/device-profiles", {
    name: `profile of ${name}`,
    definition: profileDefinition
  })
  expect(profile.status).toBe(201)
  const { body: made } = await client.post("/v1/devices", { name, profileId: profile.body.id })
  const { body: credential } = await client.post(`/v1/devices/${made.id}/credentials`, {
    credential: { kind: "token" }
  })
  const send = async (values: object, ts?: number) => {
    const answer = await fetch(`${kit.url}/api/v1/${credential.token}/telemetry`, {
      method: "POST",
      body: JSON.stringify(ts === undefined ? values : { ts, values })
    })
    expect(answer.status).toBe(200)
  }
  return { id: String(made.id), name, profile: `profile of ${name}`, send }
}

export const above = (value: number, severity = "major") => ({
  severity,
  condition: { kind: "compare", datastream: "pressure", is: "above", than: { kind: "constant", value } }
})
export const ruleFor = (profile: string, ...levels: ReadonlyArray<object>) => ({
  title: { en: "Pressure too high" },
  scope: { kind: "each", profiles: [profile] },
  levels
})
export const eventually = async (check: () => Promise<void>) => {
  let last: unknown
  await until(
    "what is expected",
    async () => {
      try {
        await check()
        return true
      } catch (error) {
        last = error
        return undefined
      }
    },
    20
  ).catch(() => {
    throw last
  })
}

/** `admin`: whose devices and rules they are. */
export const rulesKit = (kit: CityKit, admin: Client) => ({
  device: (name: string) => makeDevice(kit, admin, name),
  put: (id: string, definition: object, headers: Record<string, string> = {}, client: Client = admin) =>
    client.call("PUT", `/v1/rules/${id}`, { body: { definition }, headers }),
  alertsOf: async (rule: string) => {
    const { body } = await admin.get(`/v1/alerts?rule=${rule}`)
    return (body.items as ReadonlyArray<{ data: { severity: string; status: string } }>).map(({ data }) => [
      data.severity,
      data.status
    ])
  }
})
