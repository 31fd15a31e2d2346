/** One of everything that devices, the control room and networks have, in a city of the tests, with a mark in every text. */
import { randomUUID } from "node:crypto"
import { applyAlertEffects } from "@mahalla/core"
import { expect } from "vitest"
import type { CityKit, TenantKit } from "../cityKit.ts"
import type { Answer } from "../client.ts"

export interface WaterThings {
  readonly profile: string
  readonly device: string
  readonly credential: string
  readonly command: string
  readonly datastream: string
  readonly rule: string
  readonly provisioning: string
  readonly zone: string
  readonly network: string
  readonly asset: string
  readonly otherAsset: string
  readonly networkImport: string
  readonly alert: string
  readonly incident: string
  readonly workOrder: string
  readonly window: string
  readonly rota: string
  readonly override: string
  readonly ladder: string
}

export const profileOf = (text: string) => ({
  datastreams: [{ key: "pressure", title: `Pressure ${text}`, unit: "bar" }],
  format: "json",
  retention: 90
})

export const ruleOf = (profile: string, text: string) => ({
  title: { en: `Rule ${text}` },
  scope: { kind: "each", profiles: [profile] },
  levels: [
    {
      severity: "major",
      condition: { kind: "compare", datastream: "pressure", is: "above", than: { kind: "constant", value: 8 } }
    }
  ]
})

export const zoneOf = (datastreamId: string, text: string) => ({
  name: `Zone ${text}`,
  sensors: [{ datastreamId, role: "pressure" }],
  places: [{ name: `Place ${text}`, effects: [-0.5] }]
})

const later = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString()

const turns = (personId: string) => ({
  layer: 1,
  members: [personId],
  begins: "2026-11-16",
  handover: "08:00",
  weeks: 1
})

export const shift = (personId: string) => ({
  layer: 0,
  days: [1, 2, 3, 4, 5, 6, 7],
  from: "00:00",
  to: "12:00",
  personId
})

export const point = (coordinates: ReadonlyArray<number>, properties: Readonly<Record<string, unknown>>) => ({
  type: "FeatureCollection",
  features: [{ type: "Feature", properties, geometry: { type: "Point", coordinates } }]
})

const idOf = (answer: Answer): string => {
  if (answer.status !== 201) expect(answer.text).toBe("something made")
  return String(answer.body.id)
}

export const furnishWater = async (kit: CityKit, tenant: TenantKit, text: string): Promise<WaterThings> => {
  const admin = tenant.staff["municipality-admin"]
  const name = text.toLowerCase()
  const profile = idOf(await admin.post("/v1/device-profiles", { name, definition: profileOf(text) }))
  const device = idOf(await admin.post("/v1/devices", { name, title: `Device ${text}`, profileId: profile }))
  const credential = idOf(await admin.post(`/v1/devices/${device}/credentials`, { credential: { kind: "token" } }))
  const command = idOf(
    await admin.post(`/v1/devices/${device}/commands`, { method: `m${name}`, expiresIn: 7 * 86_400 })
  )
  const { body: streams } = await admin.get(`/v1/devices/${device}/datastreams`)
  const rule = `rule-${name}`
  expect((await admin.call("PUT", `/v1/rules/${rule}`, { body: { definition: ruleOf(name, text) } })).status).toBe(201)
  const provisioning = idOf(
    await admin.post("/v1/device-provisioning", { profileId: profile, label: `Provisioning ${text}` })
  )
  const zone = idOf(await admin.post("/v1/hydraulic-zones", zoneOf(String(streams.items[0].datastreamId), text)))
  // Forty nights would be needed to find one.
  await kit.sql(
    `insert into mahalla.leak (tenant_id, zone_id, found_at, since, place, places, score, explanation)
     values ($1, $2, now(), now(), $3, array[$3], 0.6, $3)`,
    [tenant.id, zone, `Leak ${text}`]
  )
  const network = idOf(await admin.post("/v1/networks", { name: `Network ${text}` }))
  const assetNamed = async (place: number, kind: string) =>
    idOf(
      await admin.post("/v1/assets", {
        networkId: network,
        kind,
        externalId: `${text} ${place}`,
        geometry: { type: "Point", coordinates: [66.97 + place / 1000, 39.65] }
      })
    )
  const [asset, otherAsset] = [await assetNamed(1, "junction"), await assetNamed(2, "valve")]
  idOf(
    await admin.post("/v1/assets", {
      ...{ networkId: network, kind: "pipe", externalId: `${text} 3`, fromId: asset, toId: otherAsset }
    })
  )
  const brought = await admin.post(
    `/v1/network-imports?network=${encodeURIComponent(`Import ${text}`)}&format=geojson`,
    point([66.97, 39.66], { id: text, kind: "junction" })
  )
  const networkImport = idOf(brought)
  const engine = kit.city.as({ tenant: tenant.slug, principal: "system" })
  const [raised] = await engine.run(
    applyAlertEffects([
      {
        kind: "raise",
        key: { rule, originator: device },
        episode: randomUUID(),
        severity: "major",
        summary: `Alert ${text}`,
        at: Date.now(),
        details: { because: text }
      }
    ])
  )
  const alert = raised!.caseId!
  const incident = idOf(await admin.post("/v1/incidents", { title: `Incident ${text}`, alerts: [alert] }))
  const workOrder = idOf(
    await admin.post("/v1/work-orders", {
      data: { title: `Work ${text}`, kind: "repair", assetId: asset },
      parentId: incident
    })
  )
  const window = idOf(
    await admin.post("/v1/maintenance-windows", { until: later(24), reason: `Window ${text}`, assets: [otherAsset] })
  )
  const rota = idOf(
    await admin.post("/v1/rotas", { name: `Rota ${text}`, shifts: [shift(admin.id)], rotations: [turns(admin.id)] })
  )
  const override = idOf(
    await admin.post(`/v1/rotas/${rota}/overrides`, { from: later(1), until: later(24), personId: admin.id })
  )
  const ladder = idOf(
    await admin.post("/v1/ladders", {
      name: `Ladder ${text}`,
      severities: ["critical"],
      steps: [{ after: 10_000, rotaId: rota }]
    })
  )
  return {
    ...{
      profile,
      device,
      credential,
      command,
      datastream: String(streams.items[0].datastreamId),
      rule,
      provisioning,
      zone
    },
    ...{ network, asset, otherAsset, networkImport, alert, incident, workOrder, window, rota, override, ladder }
  }
}

/** What nobody has, in the same shape. */
export const phantomWater = (water: WaterThings): WaterThings => ({
  ...(Object.fromEntries(Object.keys(water).map((name) => [name, randomUUID()])) as unknown as WaterThings),
  rule: "rule-zarhal9"
})

/** Whose id an address of these modules means; undefined where it is none of theirs. */
export const waterIds = (path: string, water: WaterThings): ReadonlyArray<string> | undefined => {
  const starts = (place: string) => path === place || path.startsWith(`${place}/`)
  if (starts("/v1/device-profiles")) return [water.profile]
  if (starts("/v1/devices")) return [water.device]
  if (starts("/v1/datastreams")) return [water.datastream]
  if (starts("/v1/rules")) return [water.rule]
  if (starts("/v1/device-provisioning")) return [water.provisioning]
  if (starts("/v1/hydraulic-zones")) return [water.zone]
  if (starts("/v1/networks")) return [water.network]
  if (starts("/v1/assets")) return [water.asset]
  if (starts("/v1/network-imports")) return [water.networkImport]
  if (starts("/v1/rotas")) return [water.rota]
  if (starts("/v1/ladders")) return [water.ladder]
  if (starts("/v1/maintenance-windows")) return [water.window]
  if (starts("/v1/incidents") || starts("/v1/cases/incident")) return [water.incident]
  if (starts("/v1/cases/work-order")) return [water.workOrder]
  if (starts("/v1/cases/alert")) return [water.alert]
  return undefined
}

/** Bodies that are valid, by operation; whoever asks names a city's own things in them. */
export const waterBodies = (water: WaterThings, personId: string): Readonly<Record<string, unknown>> => {
  const reason = "A test looks at every door"
  const codec = {
    source: "function decodeUplink(input) { return { data: { pressure: input.bytes[0] } } }"
  }
  const input = { hex: "01", fPort: 1 }
  const span = { from: later(-2), to: later(-1) }
  const rota = { name: "Scan", shifts: [shift(personId)], rotations: [turns(personId)] }
  const ladder = { name: "Scan", severities: ["minor"], steps: [{ after: 10_000, rotaId: water.rota }] }
  const definition = ruleOf("olma3", "Scan")
  return {
    "POST /v1/device-profiles": { name: "scan", definition: profileOf("Scan") },
    "PATCH /v1/device-profiles/{id}": { definition: profileOf("Scan") },
    "POST /v1/device-profiles/decode": { codec, input },
    "POST /v1/devices": { name: "scan", title: "Scan", profileId: water.profile, groups: ["north"] },
    "POST /v1/devices/batch": { devices: [{ name: "scan-1", profileId: water.profile }] },
    "PATCH /v1/devices/{id}": { title: "Scan", groups: ["north"], status: "active" },
    "POST /v1/devices/{id}/credentials": { credential: { kind: "basic", user: "scan" }, othersEndAfter: 3600 },
    "POST /v1/devices/{id}/commands": { method: "open", params: { percent: 5 }, expiresIn: 60 },
    "POST /v1/readings/latest": { devices: [water.device], keys: ["pressure"] },
    "POST /v1/readings/dead-letters/replay": { reason: "malformed", deviceId: water.device },
    "POST /v1/readings/replay": { ...span, name: "olma3" },
    "PUT /v1/rules/{id}": { definition },
    "POST /v1/rules/dry-run": { definition, from: later(-3), until: later(-1) },
    "PUT /v1/telemetry-settings": { sensitivity: 0.5 },
    "POST /v1/device-provisioning": { profileId: water.profile, label: "Scan", registeredOnly: true },
    "POST /v1/hydraulic-zones": zoneOf(water.datastream, "Scan"),
    "PUT /v1/hydraulic-zones/{id}": zoneOf(water.datastream, "Scan again"),
    "POST /v1/alerts/acknowledgements": { ids: [water.alert] },
    "POST /v1/incidents": { title: "Scan", alerts: [water.alert], severity: "minor", commanderId: personId },
    "POST /v1/incidents/{id}/alerts": { alerts: [water.alert] },
    "POST /v1/work-orders": {
      data: { title: "Scan", kind: "repair", assetId: water.asset },
      parentId: water.incident,
      assigneeId: personId
    },
    "POST /v1/maintenance-windows": { until: later(2), reason, assets: [water.otherAsset], rules: ["scan"] },
    "PATCH /v1/maintenance-windows/{id}": { until: later(48) },
    "POST /v1/rotas": rota,
    "PUT /v1/rotas/{id}": { ...rota, name: "Scan again" },
    "POST /v1/rotas/{id}/overrides": { from: later(30), until: later(40), personId },
    "POST /v1/ladders": ladder,
    "PUT /v1/ladders/{id}": { ...ladder, name: "Scan again" },
    "POST /v1/networks": { name: "Scan" },
    "POST /v1/assets": {
      networkId: water.network,
      kind: "pipe",
      externalId: "Scan",
      fromId: water.asset,
      toId: water.otherAsset,
      status: "open",
      material: "PE",
      properties: { seen: "yes" }
    },
    "PATCH /v1/assets/{id}": { status: "open", material: "PE", customers: 1, properties: { seen: "yes" } },
    "POST /v1/network-imports": point([66.97, 39.67], { id: "scan", kind: "junction" }),
    "POST /v1/cases/incident": { data: { title: "Scan", severity: "minor" }, attachments: [] },
    "POST /v1/cases/work-order": {
      data: { title: "Scan", kind: "repair", assetId: water.asset },
      attachments: []
    },
    "POST /v1/cases/alert/{id}/transitions/link": { incident: water.incident },
    "POST /v1/cases/alert/{id}/transitions/resolve": { note: "Mended" },
    "POST /v1/cases/alert/{id}/transitions/reopen": { reason },
    "POST /v1/cases/alert/{id}/transitions/clear": { reason },
    "POST /v1/cases/incident/{id}/transitions/resolve": { outcome: "Mended" },
    "POST /v1/cases/incident/{id}/transitions/reopen": { reason },
    "POST /v1/cases/work-order/{id}/transitions/plan": { crew: "North", plannedFrom: later(1), plannedUntil: later(2) },
    "POST /v1/cases/work-order/{id}/transitions/dispatch": { crew: "North" },
    "POST /v1/cases/work-order/{id}/transitions/finish": { done: "Mended", cost: 5 },
    "POST /v1/cases/work-order/{id}/transitions/cancel": { reason }
  }
}
