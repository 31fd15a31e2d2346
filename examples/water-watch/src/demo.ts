/** Two municipalities with their districts, their people, their networks with the devices on them, and the rules that alert. */
import { addTerritory, type City, issueLink } from "@mahalla/core"
import { TenantTx } from "@mahalla/core/module"
import type { Demo } from "@mahalla/server"
import * as Effect from "effect/Effect"
import { api, type Call } from "./api.ts"
import { boundary, deviceProfiles, waterCities, type WaterCity, waterRules } from "./data.ts"
import { layPipes } from "./network.ts"

const settings = {
  timeZone: "Asia/Samarkand",
  languages: ["uz", "ru", "en"],
  country: "UZ",
  currency: "UZS",
  calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: ["2027-01-01", "2027-03-21", "2027-09-01"] },
  corsOrigins: []
}

const whole = [-700, -300, 1500, 800]

const land = ({ districts, name, place }: WaterCity) =>
  Effect.gen(function* () {
    const { sql, tenantId } = yield* TenantTx
    const known = yield* sql`select id from mahalla.territory where tenant_id = ${tenantId} limit 1`
    if (known.length > 0) return
    const { id } = yield* addTerritory({ kind: "city", name: { en: name }, boundary: boundary(place, whole) })
    for (const [district, box] of Object.entries(districts))
      yield* addTerritory({ kind: "district", name: { en: district }, boundary: boundary(place, box), parentId: id })
  })

/** Zones in which leaks are looked for, where they are not there yet and their devices are: in a network of another file they are not. */
const divide = async (call: Call, { zones }: WaterCity) => {
  const known = new Set((await call("GET", "/v1/hydraulic-zones")).items.map(({ name }) => name))
  const devices = new Map((await call("GET", "/v1/devices?limit=200")).items.map(({ id, name }) => [name, id]))
  const sensor = async (device: string, key: string, role: string) => {
    const { items } = await call("GET", `/v1/devices/${devices.get(device)}/datastreams`)
    return { datastreamId: items.find((datastream) => datastream.key === key)?.datastreamId, role }
  }
  const wanted = zones.filter(
    ({ inflows, name, pressures }) => !known.has(name) && [...inflows, ...pressures].every((one) => devices.has(one))
  )
  for (const { inflows, name, pressures } of wanted) {
    const sensors = await Promise.all([
      ...inflows.map((device) => sensor(device, "flow", "inflow")),
      ...pressures.map((device) => sensor(device, "pressure", "pressure"))
    ])
    await call("POST", "/v1/hydraulic-zones", { name, sensors })
  }
}

/** The network, profiles, devices and rules, where they are not there yet; what the city has changed stays. */
const equip = async (city: City, one: WaterCity) => {
  const { slug } = one
  const [admin] = await city.admin.staffWithRole(slug, "municipality-admin")
  const link = await api(city, slug)("POST", "/v1/auth/link", {
    token: await city.admin.run(slug, issueLink(admin!.id))
  })
  const call = api(city, slug, String(link["accessToken"]))
  const profiles = new Map((await call("GET", "/v1/device-profiles")).items.map(({ id, name }) => [name, id]))
  for (const [name, definition] of Object.entries(deviceProfiles))
    if (!profiles.has(name)) profiles.set(name, (await call("POST", "/v1/device-profiles", { name, definition })).id)
  const known = new Set((await call("GET", "/v1/devices?limit=200")).items.map(({ name }) => name))
  const missing = (await layPipes(call, one)).filter(({ name }) => !known.has(name))
  if (missing.length > 0)
    await call("POST", "/v1/devices/batch", {
      devices: missing.map(({ profile, ...device }) => ({ ...device, profileId: profiles.get(profile) }))
    })
  await divide(call, one)
  const rules = new Set((await call("GET", "/v1/rules?limit=200")).items.map(({ id }) => id))
  for (const [id, definition] of Object.entries(waterRules))
    if (!rules.has(id)) await call("PUT", `/v1/rules/${id}`, { definition })
}

/** Safe to run again: it adds what a start that was broken off has left out. */
const seed = async (city: City) => {
  const known = new Set((await city.admin.tenants.list()).map(({ slug }) => slug))
  for (const one of waterCities) {
    const { name, slug, staff } = one
    if (!known.has(slug)) await city.admin.tenants.create({ slug, name, settings })
    await city.as({ tenant: slug, principal: "system" }).run(land(one))
    for (const person of staff)
      if ((await city.admin.staffWithRole(slug, person.roles[0]!)).length === 0)
        await city.admin.principals.createStaff(slug, person)
    await equip(city, one)
  }
}

export const demo: Demo = { tenant: waterCities[0]!.slug, seed, place: waterCities[0]!.place }
