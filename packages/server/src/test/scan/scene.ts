/** Everything a scan names in its requests, made in one of the city's tenants, and the people who send them. */
import { applyAlertEffects, issueLink, raiseAlert } from "@mahalla/core"
import type { CityKit } from "../cityKit.ts"
import { report } from "../cityKit.ts"
import { type Client, makeClient, until } from "../client.ts"
import { fileTest, furnish, type Things } from "../isolation/things.ts"
import { shift } from "../isolation/water.ts"
import { codeFor } from "../oauth/kit.ts"

/** In the order in which they are asked: the first of the staff who may, and the citizen beside them. */
export const people = [
  "platform",
  "municipality-admin",
  "inspector",
  "treasurer",
  "auditor",
  "security-officer",
  "citizen",
  "visitor"
] as const
export type Person = (typeof people)[number]

export interface Scene {
  readonly kit: CityKit
  readonly things: Things
  /** In review, with a proposed violation each. */
  readonly reports: ReadonlyArray<Reported>
  /** Decided. */
  readonly closed: string
  /** In review, with no violation that is open. */
  readonly settled: string
  /** Caused by the first report. */
  readonly linked: string
  /** The citizen's, claimed by the inspector. */
  readonly claimed: string
  readonly alert: string
  readonly failedPayout: string
  readonly unknownPayout: string
  readonly requestedPayout: string
  readonly spareAttachment: string
  readonly deadLetterCursor: string
  readonly device: string
  /** Who has the grant of `things`. */
  readonly granted: string
  /** Makes dead letters of those that were replayed or discarded. */
  readonly revive: () => Promise<void>
  readonly event: string
  readonly apiKey: string
  readonly erasure: string
  readonly phone: string
  readonly code: string
  readonly link: string
  readonly refreshToken: string
  readonly platformLink: string
  readonly staff: string
  readonly city: string
  readonly access: string
  /** A super-admin beside the one who asks. */
  readonly otherAdmin: string
  readonly connectedApp: string
  /** In no incident. */
  readonly looseAlert: string
  /** Operations that not every thing of their kind can take, with one that can. */
  readonly ready: Readonly<Record<string, string>>
  /** Signed in a moment ago. */
  readonly tokenOf: (person: Person) => Promise<Client>
}

interface Reported {
  readonly id: string
  readonly violation: string
  readonly attachment: string
}

const inReview = async (kit: CityKit, citizen: Client): Promise<Reported> => {
  const { attachment, id } = await report(citizen, { description: "A light at the corner", plate: "01A777AA" })
  const { inspector } = kit.samarkand.staff
  const violation = await until("proposed", async () => {
    const { body } = await inspector.get(`/v1/cases?type=traffic-violation&parent=${id}`)
    return body.items[0]?.id as string | undefined
  })
  await until(
    "in review",
    async () => (await inspector.get(`/v1/cases/traffic-report/${id}`)).body.state === "in-review"
  )
  return { id, violation, attachment }
}

/** Filings that stand with the authority, and are then said to be in another state. */
const filingsIn = async (kit: CityKit, reports: ReadonlyArray<Reported>, states: ReadonlyArray<string>) => {
  const ids: Array<string> = []
  for (const [index, state] of states.entries()) {
    const { id: evidence, violation } = reports[index]!
    const id = await fileTest(kit, kit.samarkand, violation, evidence)
    await kit.sql("update mahalla.filing set state = $2, next_at = null where id = $1", [id, state])
    ids.push(id)
  }
  return ids
}

/** Rewards that were paid, and are then said to be in another state. */
const payoutsIn = async (kit: CityKit, citizen: Client, states: ReadonlyArray<string>) => {
  const paid = async () =>
    ((await citizen.get("/v1/payouts?state=succeeded")).body.items as ReadonlyArray<{ id: string }>).map(({ id }) => id)
  const before = await paid()
  const rewarded = await Promise.all(states.map(() => inReview(kit, citizen)))
  for (const { violation } of rewarded)
    await kit.samarkand.staff.inspector.post(`/v1/cases/traffic-violation/${violation}/transitions/accept`, {})
  const ids = await until("paid", async () => {
    const now = (await paid()).filter((id) => !before.includes(id))
    return now.length === states.length && now
  })
  // No way leads there from a payment that was confirmed.
  await kit.sql("set session_replication_role = replica")
  for (const [index, id] of ids.entries())
    await kit.sql(
      "update mahalla.payout set state = $2, pending_id = case when $2 = 'requested' then null else pending_id end where id = $1",
      [id, states[index]]
    )
  await kit.sql("reset session_replication_role")
  return ids
}

/** Things of devices and the control room that are as some operations want them: in no incident, held by nothing, resolved, under way. */
const readyThings = async (kit: CityKit, { asset, device, network, rule }: Things) => {
  const { "municipality-admin": admin } = kit.samarkand.staff
  const engine = kit.city.as({ tenant: kit.samarkand.slug, principal: "system" })
  const made = async (path: string, body: object) => {
    const { body: answer, status, text } = await admin.post(path, body)
    if (status !== 201) throw new Error(`${path}: ${status} ${text}`)
    return String(answer.id)
  }
  const step = async (type: string, id: string, transition: string, input: object = {}) => {
    const { status, text } = await admin.post(`/v1/cases/${type}/${id}/transitions/${transition}`, input)
    if (status !== 200) throw new Error(`${transition}: ${status} ${text}`)
    return id
  }
  const keyOf = (name: string) => ({ rule, originator: `${device}.${name}` })
  const [loose, over] = await engine.run(
    applyAlertEffects(
      ["loose", "over"].map((name) => ({
        ...{ kind: "raise", key: keyOf(name), episode: name, severity: "minor", summary: name, details: {} },
        at: Date.now()
      }))
    )
  )
  await engine.run(applyAlertEffects([{ kind: "clear", key: keyOf("over"), episode: "over", at: Date.now() }]))
  const looseAlert = loose!.caseId!
  const resolvedAlert = await step("alert", over!.caseId!, "resolve")
  const incident = await made("/v1/cases/incident", { data: { title: "Over", severity: "minor" }, attachments: [] })
  await step("incident", incident, "resolve", { outcome: "Mended" })
  const order = () => made("/v1/work-orders", { data: { title: "Ready", kind: "repair", assetId: asset } })
  const dispatched = await step("work-order", await order(), "dispatch", { crew: "North" })
  const started = await step("work-order", await order(), "dispatch", { crew: "North" })
  await step("work-order", started, "start")
  const rota = await made("/v1/rotas", { name: "Loose", shifts: [shift(admin.id)], rotations: [] })
  const webhook = await made("/v1/webhooks", { url: "https://1.1.1.1/", types: ["nothing.*"] })
  const geometry = { type: "Point", coordinates: [66.99, 39.65] }
  const valve = await made("/v1/assets", { networkId: network, kind: "valve", externalId: "Loose", geometry })
  const transition = (type: string, id: string, ...names: ReadonlyArray<string>) =>
    names.map((name) => [`POST /v1/cases/${type}/{id}/transitions/${name}`, id] as const)
  return {
    looseAlert,
    ready: Object.fromEntries([
      ...transition("alert", looseAlert, "acknowledge", "clear", "investigate", "link"),
      ...transition("alert", resolvedAlert, "close", "reopen"),
      ...transition("incident", incident, "close", "reopen"),
      ...transition("work-order", dispatched, "start"),
      ...transition("work-order", started, "finish"),
      ["DELETE /v1/rotas/{id}", rota],
      ["DELETE /v1/webhooks/{id}", webhook],
      ["DELETE /v1/assets/{id}", valve]
    ])
  }
}

export const openScene = async (kit: CityKit): Promise<Scene> => {
  const tenant = kit.samarkand
  const phone = "+998900000061"
  const things = await furnish(kit, tenant, "OLMA3", phone)
  const { citizen } = things
  const { inspector, "municipality-admin": admin } = tenant.staff
  const engine = kit.city.as({ tenant: tenant.slug, principal: "system" })
  const seven = await Promise.all(Array.from({ length: 7 }, () => inReview(kit, citizen)))
  const [closed, settled, linked, claimed, ...reports] = seven as [
    Reported,
    Reported,
    Reported,
    Reported,
    ...ReadonlyArray<Reported>
  ]
  await kit.sql("update mahalla.civic_case set state = 'decided', phase = 'closed' where id = $1", [closed.id])
  await kit.sql("update mahalla.civic_case set state = 'rejected', phase = 'closed' where id = any ($1)", [
    [closed.violation, settled.violation]
  ])
  await inspector.post(`/v1/cases/traffic-report/${linked.id}/links`, { kind: "caused-by", to: reports[0]!.id })
  await inspector.post(`/v1/cases/traffic-report/${claimed.id}/claim`, {})
  const alert = await engine.run(
    raiseAlert({ kind: "failed-sign-ins", originator: "scan", summary: "Seen by the scan's own eyes." })
  )
  const events = await kit.sql<{ id: string }>(
    "select event_id as id from mahalla.event_order where tenant_id = $1 order by position limit 1",
    [tenant.id]
  )
  const apiKey = await admin.post("/v1/api-keys", { name: "Scan", scopes: ["event.read"] })
  const leaving = await tenant.citizen("+998900000062")
  await tenant.visitor.post("/v1/auth/code", { phone: "+998900000062", purpose: "delete-account" })
  await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")
  const erased = await leaving.call("DELETE", "/v1/me", {
    headers: { "confirmation-code": await codeFor(tenant, "+998900000062") }
  })
  await citizen.post("/v1/me/export")
  await until("the copy is made", async () => (await citizen.get("/v1/me/export")).body.state === "done")

  await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")
  const newcomer = "+998900000063"
  await tenant.visitor.post("/v1/auth/code", { phone: newcomer })
  const code = await codeFor(tenant, newcomer)
  await kit.sql("update mahalla.sign_in_code set expires_at = now() + interval '1 day'")
  const staff = await tenant.staffMember(["inspector"])
  const officer = await tenant.staffMember(["security-officer"])
  const session = await tenant.visitor.post("/v1/auth/link", { token: await engine.run(issueLink(staff.id)) })
  const link = await engine.run(issueLink(staff.id))
  const root = await kit.city.admin.platform.createAdmin("Scan")
  const otherAdmin = await kit.city.admin.platform.createAdmin("Beside")
  const door = makeClient(kit.url)
  const platform = async () => {
    const { body } = await door.post("/v1/platform/session", { token: await kit.city.admin.platform.link(root.id) })
    return door.with({ authorization: `Bearer ${body.accessToken}` })
  }
  const settings = (await kit.city.admin.tenants.list())[0]!.settings
  await (await platform()).post("/v1/platform/tenants", { slug: "khiva", name: "Khiva", settings })
  const access = await (
    await platform()
  ).post("/v1/platform/tenants/khiva/access", {
    reason: "The scan looks at every door",
    until: new Date(Date.now() + 20 * 3_600_000).toISOString()
  })
  const platformLink = await kit.city.admin.platform.link(root.id)
  // The whole scan takes more than an hour, and links a quarter of one.
  for (const table of ["sign_in_link", "platform_link"])
    await kit.sql(`update mahalla.${table} set expires_at = now() + interval '1 day'`)
  // Rows are put back as they were, some of them from before a change of keys: as long as a part that this city does not have is open, no key is
  // taken away.
  await kit.sql(
    "insert into mahalla.reseal (tenant_id, part, finished_at) select tenant_id, 'scan.put-back', now() from mahalla.tenant"
  )

  const [failedPayout, unknownPayout, requestedPayout] = await payoutsIn(kit, citizen, [
    "failed",
    "manual",
    "requested"
  ])
  const [openFiling, refusedFiling] = await filingsIn(kit, reports, ["filed", "refused"])
  const granted = await kit.sql<{ id: string }>("select principal_id as id from mahalla.role_grant where id = $1", [
    things.grant
  ])
  const revive = async () => {
    for (const id of [things.deadLetter, tenant.id])
      await kit.sql(
        `insert into mahalla.job (tenant_id, id, topic, body, state, died_at, last_error)
         values ($1, $2, 'dead.olma3', '{}', 'dead', now(), 'OLMA3')
         on conflict (tenant_id, id) do update set state = 'dead', died_at = now(), last_error = 'OLMA3'`,
        [tenant.id, id]
      )
  }
  await revive()
  const deadLetterCursor = String((await admin.get("/v1/dead-letters?limit=1")).body.cursor)

  const loose = await readyThings(kit, things)

  const tokenOf = async (person: Person): Promise<Client> => {
    if (person === "visitor") return tenant.visitor
    if (person === "platform") return platform()
    if (person === "citizen") return tenant.signedIn(citizen.id)
    return tenant.signedIn(person === "security-officer" ? officer.id : tenant.staff[person].id)
  }
  return {
    kit,
    things,
    reports,
    closed: closed.id,
    settled: settled.id,
    linked: linked.id,
    claimed: claimed.id,
    alert: alert.caseId,
    failedPayout: failedPayout!,
    unknownPayout: unknownPayout!,
    requestedPayout: requestedPayout!,
    deadLetterCursor,
    device: String(session.body.device),
    granted: granted[0]!.id,
    revive,
    spareAttachment: things.unattached,
    event: events[0]!.id,
    apiKey: String(apiKey.body.id),
    erasure: String(erased.body.id),
    phone,
    code,
    link,
    refreshToken: String(session.body.refreshToken),
    platformLink,
    staff: staff.id,
    city: "khiva",
    access: String(access.body.principalId),
    otherAdmin: otherAdmin.id,
    connectedApp: things.app,
    ...loose,
    ready: {
      ...loose.ready,
      "POST /v1/filings/{id}/settlement": openFiling!,
      "POST /v1/filings/{id}/retry": refusedFiling!
    },
    tokenOf
  }
}
