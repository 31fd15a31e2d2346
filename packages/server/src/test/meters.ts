/** Devices that send readings over HTTP, for tests of who sees them. */
import { addTerritory } from "@mahalla/core"
import type { Client } from "./client.ts"
import type { CityKit, Slug } from "./cityKit.ts"

export interface Meter {
  readonly id: string
  readonly name: string
  readonly token: string
  /** Sends values by key; ready when they are committed. `url`: another server's. */
  readonly send: (values: Readonly<Record<string, number>>, url?: string) => Promise<void>
}

const definition = {
  datastreams: [
    { key: "pressure", title: "Pressure", unit: "bar" },
    { key: "flow", title: "Flow", unit: "m3/h" }
  ],
  format: "json",
  interval: 60,
  retention: 90
}

/** Registers a device with a token. */
export const meterOf = async (
  kit: CityKit,
  slug: Slug,
  name: string,
  more: { readonly groups?: ReadonlyArray<string>; readonly territoryId?: string } = {}
): Promise<Meter> => {
  const admin = kit[slug].staff["municipality-admin"]
  const { body: profiles } = await admin.get("/v1/device-profiles")
  const profile = profiles.items[0] ?? (await admin.post("/v1/device-profiles", { name: "meter", definition })).body
  const made = await admin.post("/v1/devices", { name, profileId: profile.id, ...more })
  if (made.status !== 201) throw new Error(`The device was not made: ${made.text}`)
  const { body } = await admin.post(`/v1/devices/${made.body.id}/credentials`, { credential: { kind: "token" } })
  const token = String(body.token)
  return {
    id: String(made.body.id),
    name,
    token,
    send: async (values, url = kit.url) => {
      const answer = await fetch(`${url}/api/v1/${token}/telemetry`, { method: "POST", body: JSON.stringify(values) })
      if (answer.status !== 200) throw new Error(`The reading was not taken: ${await answer.text()}`)
    }
  }
}

/** Two districts of a city, and a mahalla in the first of them. */
export const districtsOf = async (kit: CityKit, slug: Slug) => {
  const engine = kit.city.as({ tenant: slug, principal: "system" })
  const add = async (name: string, parentId: string | null) =>
    (await engine.run(addTerritory({ kind: "district", name: { en: name }, parentId }))).id
  const north = await add("North", null)
  return { north, within: await add("A mahalla of the north", north), south: await add("South", null) }
}

/** Somebody with a role in a territory. */
export const staffIn = async (kit: CityKit, slug: Slug, role: string, territoryId: string | null) => {
  const somebody = await kit[slug].staffMember([])
  const admin: Client = kit[slug].staff["municipality-admin"]
  const grant = await admin.post(`/v1/principals/${somebody.id}/grants`, { role, territoryId })
  if (grant.status !== 201) throw new Error(`The role was not given: ${grant.text}`)
  return {
    ...somebody,
    dismiss: () => admin.call("DELETE", `/v1/principals/${somebody.id}/grants/${grant.body.id}`)
  }
}
