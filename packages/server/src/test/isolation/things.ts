/** Two cities with one of everything, the second one's marked, and every door there is with the second one's ids in it. */
import { randomUUID } from "node:crypto"
import { addTerritory, fileDecision } from "@mahalla/core"
import { apiVersion, Authority, definePlugin } from "@mahalla/core/plugin"
import { memoryAuthority } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { expect } from "vitest"
import { type CityKit, lightDetector, picture, report, type TenantKit } from "../cityKit.ts"
import { type Answer, type Client, until, upload } from "../client.ts"
import { furnishWater, phantomWater, waterBodies, waterIds, type WaterThings } from "./water.ts"

/** In everything that the second city wrote. */
export const mark = "QOVUN7"

export interface Things extends WaterThings {
  /** In every text of theirs. */
  readonly mark: string
  readonly citizen: Client & { readonly id: string }
  readonly report: string
  readonly violation: string
  readonly attachment: string
  readonly payout: string
  /** The budget. */
  readonly account: string
  readonly difference: string
  readonly grant: string
  readonly role: string
  readonly delegation: string
  readonly territory: string
  readonly unattached: string
  readonly deadLetter: string
  readonly app: string
  readonly session: string
  readonly identityCheck: string
  readonly filing: string
  /** Whom an administrator expects from the provider `country`. */
  readonly invitation: string
  readonly webhook: string
  readonly webhookMessage: string
  readonly webhookRecovery: string
  readonly broadcast: string
  readonly message: string
  /** Out of a category, without a sign-in. */
  readonly notificationLink: string
}

export const detector = lightDetector(({ frames }) =>
  Effect.succeed(
    frames.map((_, frame) => ({
      kind: "plate",
      frame,
      box: { x: 1, y: 1, width: 2, height: 2 },
      text: "01A777AA",
      confidence: 1,
      certain: true
    }))
  )
)

/** Takes nothing that the city decides by itself: violations are rewarded as without one. */
export const authority = definePlugin({
  id: "light-authority",
  apiVersion,
  config: Schema.Struct({}),
  provides: [Authority],
  layer: () => memoryAuthority({ kinds: ["test-decision"] })
})({})

/** Files something about a case with the light authority, with the evidence of another; gives its number when it stands there. */
export const fileTest = async (kit: CityKit, tenant: TenantKit, caseId: string, evidenceCaseId: string) => {
  await kit.city.as({ tenant: tenant.slug, principal: "system" }).run(
    fileDecision({
      ...{ caseId, evidenceCaseId, kind: "test-decision", offence: "red-light", article: "1", plate: "01A777AA" },
      occurredAt: Date.UTC(2026, 10, 20)
    })
  )
  return until("filed", async () => {
    const { body } = await tenant.staff.inspector.get(`/v1/filings?case=${caseId}&state=filed`)
    return body.items[0] !== undefined && String(body.items[0].id)
  })
}

/** Dead letters are what failed for good; nothing in a healthy city makes one. */
const deadLetter = async (kit: CityKit, tenant: TenantKit, text: string) => {
  const rows = await kit.sql<{ id: string }>(
    `insert into mahalla.job (tenant_id, id, topic, body, state, died_at, last_error)
     values ($1, gen_random_uuid(), $2, '{}', 'dead', now(), $3) returning id`,
    [tenant.id, `dead.${text.toLowerCase()}`, text]
  )
  return rows[0]!.id
}

/** Paused: what waits for it changes nothing while somebody looks. */
const webhook = async (admin: Client, text: string) => {
  const made = await admin.post("/v1/webhooks", { url: `https://1.1.1.1/${text}`, description: `Webhook ${text}` })
  expect(made.status).toBe(201)
  const path = `/v1/webhooks/${made.body.id}`
  await admin.call("PUT", `${path}/status`, { body: { status: "paused" } })
  const message = await admin.post(`${path}/tests`)
  const recovery = await admin.post(`${path}/recoveries`, { since: "2026-01-01T00:00:00Z" })
  return {
    webhook: String(made.body.id),
    webhookMessage: String(message.body.id),
    webhookRecovery: String(recovery.body.id)
  }
}

/** Everything that a city can have one of, with a mark in every text. */
export const furnish = async (kit: CityKit, tenant: TenantKit, text: string, phone: string): Promise<Things> => {
  const citizen = await tenant.citizen(phone)
  await citizen.call("PATCH", "/v1/me", { body: { name: `Name ${text}` } })
  const { "municipality-admin": admin, inspector } = tenant.staff
  const made = await report(citizen, { description: `Seen ${text}` })
  const path = `/v1/cases/traffic-report/${made.id}`
  const unattached = await upload(citizen, picture(), `${text}.jpg`)
  await until("in review", async () => (await inspector.get(path)).body.state === "in-review")
  const violation = String((await inspector.get(`/v1/cases?type=traffic-violation&parent=${made.id}`)).body.items[0].id)
  await inspector.post(`${path}/comments`, { text: `Comment ${text}` })
  await inspector.post(`${path}/comments`, { text: `Internal ${text}`, visibility: "internal" })
  await admin.call("PUT", `/v1/offences/${text.toLowerCase()}`, {
    body: {
      code: text.toLowerCase(),
      article: `Article ${text}`,
      title: { en: text },
      fine: 5,
      rewardShare: 0,
      active: true
    }
  })
  const accepted = await inspector.post(`/v1/cases/traffic-violation/${violation}/transitions/accept`, {
    note: `Note ${text}`
  })
  expect(accepted.status).toBe(200)
  const payout = await until("paid", async () => {
    const { body } = await citizen.get("/v1/payouts")
    return body.items[0]?.state === "succeeded" && String(body.items[0].id)
  })
  const { body: accounts } = await tenant.staff.treasurer.get("/v1/accounts")
  const [difference] = await kit.sql<{ id: string }>(
    `insert into mahalla.reconciliation_difference (tenant_id, id, rail, day, kind, subject, payout_id, ours, theirs, created_at)
     values ($1, gen_random_uuid(), $2, current_date, 'missing-at-rail', $2, $3, $2, $2, now()) returning id`,
    [tenant.id, text, payout]
  )
  await kit.sql(
    `insert into mahalla.reconciliation (tenant_id, rail, day, run_at, lines, amount, payouts, booked)
     values ($1, $2, current_date, now(), 1, 1, 1, 1)`,
    [tenant.id, text]
  )
  const staff = await admin.post("/v1/principals", { name: `Staff ${text}` })
  const grant = await admin.post(`/v1/principals/${staff.body.id}/grants`, { role: "inspector" })
  const role = `role-${text.toLowerCase()}`
  await admin.post("/v1/roles", { id: role, title: `Role ${text}`, permissions: ["event.read"] })
  const engine = kit.city.as({ tenant: tenant.slug, principal: "system" })
  const territory = await engine.run(addTerritory({ kind: text.toLowerCase(), name: { en: `District ${text}` } }))
  const handed = await inspector.post("/v1/delegations", {
    principalId: staff.body.id,
    role: "inspector",
    until: new Date(Date.now() + 3_600_000).toISOString()
  })
  const dead = await deadLetter(kit, tenant, text)
  const app = await citizen.post("/v1/apps", {
    name: `App ${text}`,
    auth: "client_secret_basic",
    redirectUris: [`https://${text.toLowerCase()}.example/`],
    grantTypes: ["authorization_code"],
    scopes: ["openid"]
  })
  await admin.call("PUT", "/v1/openid-providers/country", {
    body: {
      title: { en: `Provider ${text}` },
      issuer: `https://${text.toLowerCase()}.example`,
      clientId: `client-${text}`,
      clientSecret: `secret of ${text}`,
      scopes: ["openid"],
      admits: ["staff"],
      requires: {},
      secondFactor: null,
      redirectUris: [`https://${text.toLowerCase()}.example/app`],
      active: true
    }
  })
  const expected = { provider: "country", claim: "email", value: `${text.toLowerCase()}@city.example` }
  const invitation = await admin.post(`/v1/principals/${staff.body.id}/openid`, expected)
  await admin.call("PUT", `/v1/notification-templates/key-${text.toLowerCase()}/any`, {
    body: { texts: { en: { text: `Template ${text}` } } }
  })
  await citizen.call("PUT", "/v1/me/notification-email", { body: { address: `${text.toLowerCase()}@mail.example` } })
  const broadcast = await admin.post("/v1/broadcasts", {
    category: "city",
    urgency: "normal",
    texts: { en: { text: `Broadcast ${text}` } }
  })
  expect(broadcast.status).toBe(201)
  await until("told", async () => {
    const { body } = await admin.get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
    return body.items.filter((message: { class: string }) => message.class === "notice").length >= 3
  })
  const filing = await fileTest(kit, tenant, violation, made.id)
  const word = { verdict: "dismissed", reference: text, reason: `Letter ${text}` }
  expect((await inspector.post(`/v1/filings/${filing}/settlement`, word)).status).toBe(200)
  const message = String((await citizen.get("/v1/me/messages")).body.items[0].id)
  const check = await citizen.post("/v1/me/identity-checks", {
    register: "light-register",
    number: "31207901234567",
    birthDate: "1990-07-12",
    consent: "1"
  })
  await until("confirmed", async () => (await citizen.get("/v1/me")).body.verified !== null)
  return {
    ...(await furnishWater(kit, tenant, text)),
    ...(await webhook(admin, text)),
    mark: text,
    citizen,
    report: made.id,
    violation,
    attachment: made.attachment,
    payout,
    account: String(accounts.items.find(({ kind }: { kind: string }) => kind === "budget").id),
    difference: difference!.id,
    grant: String(grant.body.id),
    role,
    delegation: String(handed.body.id),
    territory: territory.id,
    unattached: unattached.id,
    deadLetter: dead,
    app: String(app.body.id),
    session: String((await citizen.get("/v1/me/sessions")).body.items[0].id),
    identityCheck: String(check.body.id),
    filing,
    invitation: String(invitation.body.id),
    broadcast: String(broadcast.body.id),
    message,
    notificationLink: `u.${citizen.id}.cases.${"A".repeat(24)}`
  }
}

/** Valid ones, by operation; nobody is there who would take what is sent. */
export const webhookBodies: Readonly<Record<string, unknown>> = {
  "PUT /v1/webhooks/{id}": { url: "https://1.1.1.1/", description: "At the corner", types: ["alert.*"] },
  "PUT /v1/webhooks/{id}/status": { status: "paused" },
  "POST /v1/webhooks/{id}/secrets": { overlap: 24 },
  "POST /v1/webhooks/{id}/recoveries": { since: "2026-11-20T08:00:00Z" }
}

export interface Operation {
  readonly method: string
  readonly path: string
}

/** Addresses that the document does not list. */
const unlisted: ReadonlyArray<Operation> = [
  { method: "GET", path: "/v1/uploads/{upload}" },
  { method: "HEAD", path: "/v1/uploads/{upload}" },
  { method: "PATCH", path: "/v1/uploads/{upload}" },
  { method: "DELETE", path: "/v1/uploads/{upload}" }
]

export const operations = async (kit: CityKit): Promise<ReadonlyArray<Operation>> => {
  const { body } = await kit.samarkand.visitor.get("/openapi.json")
  const listed = Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) =>
    Object.keys(item).map((method) => ({ method: method.toUpperCase(), path }))
  )
  return [...listed.filter(({ path }) => path !== "/v1/events" && path !== "/v1/readings/live"), ...unlisted]
}

/** What stands in the place of a parameter: each thing of a city that could be meant. */
const idsFor = (path: string, things: Things, tenant: TenantKit): ReadonlyArray<string> => {
  if (path.includes("traffic-violation")) return [things.violation]
  if (path.includes("traffic-report") || path.startsWith("/v1/reports")) return [things.report]
  if (path.startsWith("/v1/attachments")) return [things.attachment, things.unattached]
  if (path.startsWith("/v1/principals")) return [things.citizen.id, tenant.staff.inspector.id]
  if (path.startsWith("/v1/delegations")) return [things.delegation]
  if (path.startsWith("/v1/payouts")) return [things.payout]
  if (path.startsWith("/v1/accounts")) return [things.account]
  if (path.startsWith("/v1/reconciliation-differences")) return [things.difference]
  if (path.startsWith("/v1/filings")) return [things.filing]
  if (path.startsWith("/v1/dead-letters")) return [things.deadLetter]
  if (path.startsWith("/v1/me/sessions")) return [things.session]
  if (path.includes("/apps/")) return [things.app]
  if (path.startsWith("/v1/webhooks")) return [things.webhook]
  if (path.startsWith("/v1/broadcasts")) return [things.broadcast]
  if (path.startsWith("/v1/messages")) return [things.message]
  const water = waterIds(path, things)
  if (water !== undefined) return water
  return [things.report]
}

export const addresses = (path: string, things: Things, tenant: TenantKit): ReadonlyArray<string> => {
  const types = path.includes("/cases/{type}") ? ["traffic-report", "traffic-violation"] : [""]
  return types.flatMap((type) =>
    idsFor(path.replace("{type}", type), things, tenant).map((id) =>
      path
        .replace("/case-types/{type}", "/case-types/traffic-report")
        .replace("{type}", type)
        .replace("{id}", id)
        .replace("{to}", things.violation)
        .replace("{kind}", "parent")
        .replace("{grant}", things.grant)
        .replace("{role}", things.role)
        .replace("{slug}", tenant.slug)
        .replace("{admin}", tenant.staff.inspector.id)
        .replace("{access}", tenant.staff.inspector.id)
        .replace("{provider}", things.mark.toLowerCase())
        .replace("{link}", things.invitation)
        .replace("{message}", things.webhookMessage)
        .replace("{recovery}", things.webhookRecovery)
        .replace("{code}", things.mark.toLowerCase())
        .replace("{attachment}", things.attachment)
        .replace("{upload}", things.unattached)
        .replace("{credential}", things.credential)
        .replace("{command}", things.command)
        .replace("{override}", things.override)
        .replace("{key}", `key-${things.mark.toLowerCase()}`)
        .replace("{channel}", "any")
        .replace("{token}", things.notificationLink)
        .replace("{z}/{x}/{y}", "14/11239/6291.mvt")
    )
  )
}

export const bodyFor = (method: string, path: string, things: Things): unknown => {
  if (method === "GET" || method === "DELETE" || method === "HEAD") return undefined
  if (path.endsWith("/comments")) return { text: "from another city" }
  if (path.endsWith("/links")) return { kind: "caused-by", to: things.violation }
  if (path.endsWith("/merge")) return { into: things.report }
  if (path.startsWith("/v1/webhooks")) return webhookBodies[`${method} ${path}`] ?? {}
  if (path.endsWith("/apps/{id}/status")) return { status: "blocked" }
  if (path.endsWith("/assignee")) return { assigneeId: things.citizen.id }
  if (path.endsWith("/openid")) return { provider: "country", claim: "sub", value: things.mark }
  if (path.endsWith("/grants")) return { role: "inspector", territoryId: things.territory }
  if (path.endsWith("/delegations"))
    return { principalId: things.citizen.id, role: "inspector", until: "2099-01-01T00:00:00Z" }
  if (path.endsWith("/roles")) return { id: things.role, title: "From another city", permissions: ["nothing.there"] }
  if (path.includes("/roles/")) return { title: "From another city" }
  if (path.startsWith("/v1/platform"))
    return { reason: "from another city", until: "2099-01-01T00:00:00Z", code: "000000" }
  if (/(reject|close|appeal|reopen)$/.test(path)) return { reason: "from another city" }
  if (path.endsWith("add-violation")) return { offence: things.mark.toLowerCase() }
  if (path.endsWith("/v1/cases/traffic-report"))
    return {
      data: { offence: things.mark.toLowerCase(), occurredAt: "2026-11-20T08:00:00Z" },
      place: { longitude: 1, latitude: 1 },
      attachments: [things.unattached]
    }
  // The control room takes assets as they are named, for it need not know a network: what it repeats of them it was told by the asker.
  const taken = /\/(maintenance-windows|work-orders|cases\/work-order)$/.test(path)
  const named = taken ? { ...things, asset: randomUUID(), otherAsset: randomUUID() } : things
  return waterBodies(named, things.citizen.id)[`${method} ${path}`] ?? {}
}

export const marked = (answer: Answer, things: Things, except: string): ReadonlyArray<string> => {
  const all = `${answer.text} ${JSON.stringify([...answer.headers])}`
  const secret = [
    mark,
    mark.toLowerCase(),
    things.report,
    things.violation,
    things.attachment,
    things.payout,
    things.account,
    things.difference,
    things.grant,
    things.delegation,
    things.territory,
    things.app,
    things.session,
    things.identityCheck,
    things.filing,
    things.invitation,
    things.webhook,
    things.webhookMessage,
    things.webhookRecovery,
    things.broadcast,
    things.message,
    ...Object.keys(phantomWater(things)).map((name) => things[name as keyof WaterThings])
  ]
  return secret.filter((text) => all.includes(text) && !except.includes(text))
}

/** Things that nobody has, in the shape of those that somebody has. */
export const phantom = (things: Things): Things => ({
  ...things,
  ...phantomWater(things),
  mark: "ZARHAL9",
  citizen: { ...things.citizen, id: randomUUID() },
  report: randomUUID(),
  violation: randomUUID(),
  attachment: randomUUID(),
  payout: randomUUID(),
  account: randomUUID(),
  difference: randomUUID(),
  grant: randomUUID(),
  role: "role-zarhal9",
  delegation: randomUUID(),
  territory: randomUUID(),
  unattached: randomUUID(),
  deadLetter: randomUUID(),
  app: randomUUID(),
  session: randomUUID(),
  identityCheck: randomUUID(),
  filing: randomUUID(),
  webhook: randomUUID(),
  webhookMessage: randomUUID(),
  webhookRecovery: randomUUID(),
  invitation: randomUUID(),
  broadcast: randomUUID(),
  message: randomUUID(),
  notificationLink: `u.${randomUUID()}.cases.${"A".repeat(24)}`
})

/** A city with staff that nobody has. */
export const phantomTenant = (tenant: TenantKit): TenantKit => ({
  ...tenant,
  slug: "nowhere" as TenantKit["slug"],
  staff: { ...tenant.staff, inspector: { ...tenant.staff.inspector, id: randomUUID() } }
})

/** An answer without what must differ: ids, times, the number of the request. */
export const plain = (answer: Answer, things: Things, tenant: TenantKit): string => {
  const names: ReadonlyArray<readonly [string, string]> = [
    ...Object.entries(things).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value] as const, [name, value.toLowerCase()] as const] : []
    ),
    ["citizen", things.citizen.id],
    ["inspector", tenant.staff.inspector.id],
    ["city", tenant.slug]
  ]
  const text = names.reduce((all, [name, value]) => all.replaceAll(value, `<${name}>`), answer.text)
  return `${answer.status} ${text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<id>")
    .replaceAll(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, "<time>")}`
}
