/** The control room by HTTP: what an operator's screen asks for, what is refused, and what another city sees of it, which is nothing. */
import { type AlertEffect, applyAlertEffects } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Answer, type Client, newKey } from "./client.ts"

let kit: CityKit
let operator: Client & { readonly id: string }
let admin: Client & { readonly id: string }
let foreigner: Client & { readonly id: string }

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  operator = await kit.samarkand.staffMember(["control-room-operator"])
  admin = kit.samarkand.staff["municipality-admin"]
  foreigner = await kit.bukhara.staffMember(["control-room-operator"])
})
afterAll(() => kit?.close())

const asset = (n: number) => `01a1fb96-0a6f-7324-b14e-0000000000${String(n).padStart(2, "0")}`
/** Where it is, below the city's own address. */
const placeOf = ({ headers }: Answer) => headers.get("location")!.replace("/t/samarkand", "")
let count = 0
const raised = (given: Partial<Extract<AlertEffect, { kind: "raise" }>> = {}): AlertEffect => ({
  kind: "raise",
  key: { rule: `rule-${count++}`, originator: asset(1) },
  episode: "1",
  severity: "major",
  summary: "2.1 bar, expected 3.5 to 5.",
  at: Date.now(),
  details: { value: 2.1 },
  ...given
})
const apply = async (...effects: ReadonlyArray<AlertEffect>) => {
  const outcomes = await kit.city.as({ tenant: "samarkand", principal: "system" }).run(applyAlertEffects(effects))
  return outcomes.map(({ caseId }) => caseId!)
}
const listed = async (query: string, client: Client = operator) =>
  (await client.get(`/v1/alerts?${query}`)).body.items as ReadonlyArray<{
    id: string
    state: string
    own: boolean | null
    data: Record<string, unknown>
  }>

describe("alerts", () => {
  test("are_listed_by_what_they_are_and_by_the_assets_on_which_they_show", async () => {
    const [a, b, c] = await apply(
      raised({ assetId: asset(10), propagate: [asset(11)] }),
      raised({ assetId: asset(11), severity: "critical" }),
      raised({ key: { rule: "offline", originator: asset(2) }, severity: "warning" })
    )
    expect((await listed(`asset=${asset(11)}`)).map(({ id, own }) => [id, own])).toEqual([
      [b, true],
      [a, false]
    ])
    expect((await listed("severity=critical,warning&active=true")).map(({ id }) => id)).toEqual([c, b])
    expect((await listed(`originator=${asset(2)}&rule=offline&state=open`)).map(({ id }) => id)).toEqual([c])
    expect(await listed("acknowledged=true")).toEqual([])
    const first = await operator.get("/v1/alerts?limit=2")
    expect(first.body.items).toHaveLength(2)
    const rest = await operator.get(`/v1/alerts?limit=2&cursor=${first.body.cursor}`)
    expect(rest.body.items.map(({ id }: { id: string }) => id)).toEqual([a])
    expect(rest.body.cursor).toBeUndefined()
    expect(await listed("", foreigner)).toEqual([])
    expect((await foreigner.get(`/v1/cases/alert/${a}`)).status).toBe(404)
  })

  test("show_what_the_rule_said_last_without_a_new_version", async () => {
    const effect = raised()
    const [id] = await apply(effect)
    await apply({ ...effect, kind: "update", at: Date.now() + 5000, details: { value: 1.9 } } as AlertEffect)
    const [alert] = await listed(`rule=${effect.key.rule}`)
    expect(alert).toMatchObject({ id, version: 1, data: { times: 2, details: { value: 1.9 }, status: "ACTIVE_UNACK" } })
  })

  test("are_acknowledged_many_at_once_and_each_that_is_not_says_why", async () => {
    const ids = await apply(raised(), raised(), raised())
    await operator.post(`/v1/cases/alert/${ids[1]}/transitions/acknowledge`)
    const unknown = newKey().toLowerCase()
    const key = newKey()
    const all = { ids: [...ids, unknown] }
    const answer = await operator.post("/v1/alerts/acknowledgements", all, { "idempotency-key": key })
    expect(answer.status).toBe(200)
    expect(answer.body.items).toMatchObject([
      { id: ids[0] },
      { id: ids[1], problem: { status: 422, code: "already-acknowledged" } },
      { id: ids[2] },
      { id: unknown, problem: { status: 404 } }
    ])
    expect(answer.body.items[0].problem).toBeUndefined()
    expect((await operator.get(`/v1/cases/alert/${ids[2]}`)).body.data).toMatchObject({
      status: "ACTIVE_ACK",
      acknowledgedBy: operator.id
    })
    const again = await operator.post("/v1/alerts/acknowledgements", all, { "idempotency-key": key })
    expect(again.body).toEqual(answer.body)
    const theirs = await foreigner.post("/v1/alerts/acknowledgements", { ids })
    expect(theirs.body.items.map((item: { problem: { status: number } }) => item.problem.status)).toEqual([
      404, 404, 404
    ])
    const tooMany = await operator.post("/v1/alerts/acknowledgements", {
      ids: Array.from({ length: 501 }, () => ids[0])
    })
    expect(tooMany.status).toBe(400)
  })

  test("offer_what_can_be_done_on_both_axes_and_in_every_state", async () => {
    const effect = raised()
    const [id] = await apply(effect)
    const offered = async () => (await operator.get(`/v1/cases/alert/${id}`)).body.possible as ReadonlyArray<string>
    const take = async (step: string, input: object = {}) =>
      (await operator.post(`/v1/cases/alert/${id}/transitions/${step}`, input)).status
    expect(await offered()).toEqual(["acknowledge", "clear", "investigate", "link", "resolve"])
    expect(await take("acknowledge")).toBe(200)
    expect(await offered()).toEqual(["clear", "investigate", "link", "resolve"])
    expect(await take("investigate")).toBe(200)
    expect(await offered()).toEqual(["clear", "link", "resolve"])
    const incident = (await operator.post("/v1/incidents", { title: "Burst main", alerts: [id] })).body.id
    expect(await offered()).toEqual(["clear", "unlink", "resolve"])
    expect(await take("resolve")).toBe(200)
    // The condition holds: it can be looked into again, and not be closed.
    expect(await offered()).toEqual(["clear", "investigate", "link", "reopen"])
    expect(await take("close")).toBe(422)
    expect(await take("reopen", { reason: "Still low" })).toBe(200)
    await apply({ ...effect, kind: "clear" } as AlertEffect)
    expect(await offered()).toEqual(["link", "resolve"])
    expect(await take("resolve")).toBe(200)
    expect(await offered()).toEqual(["investigate", "link", "close", "reopen"])
    expect(await take("close")).toBe(200)
    expect(await offered()).toEqual(["reopen"])
    expect((await operator.get(`/v1/cases/incident/${incident}`)).body.possible).toEqual(["resolve"])
  })

  test("are_given_to_somebody_and_talked_about_as_incidents_and_work_orders_are", async () => {
    const [id] = await apply(raised())
    const incident = (await operator.post("/v1/incidents", { title: "Burst main", alerts: [id] })).body.id
    const data = { title: "Close valve 7", kind: "repair", assetId: asset(20) }
    const order = (await operator.post("/v1/work-orders", { data, parentId: incident })).body.id
    for (const path of [`/v1/cases/alert/${id}`, `/v1/cases/incident/${incident}`, `/v1/cases/work-order/${order}`]) {
      expect((await operator.call("PUT", `${path}/assignee`, { body: { assigneeId: operator.id } })).status).toBe(200)
      expect((await operator.post(`${path}/comments`, { text: "On my way", visibility: "internal" })).status).toBe(201)
      expect((await operator.get(path)).body.assigneeId).toBe(operator.id)
      const { items } = (await operator.get(`${path}/timeline`)).body
      expect(items.map(({ type }: { type: string }) => type)).toEqual(
        expect.arrayContaining(["case.assigned", "case.commented"])
      )
      expect((await foreigner.get(`${path}/timeline`)).status).toBe(404)
    }
  })

  test("are_counted_by_severity_and_state_and_territory", async () => {
    const before = (await operator.get("/v1/alerts/summary")).body.items as ReadonlyArray<Record<string, unknown>>
    const amount = (items: typeof before, severity: string, status: string) =>
      items.reduce(
        (sum, one) => sum + (one["severity"] === severity && one["status"] === status ? Number(one["amount"]) : 0),
        0
      )
    const [id] = await apply(raised({ severity: "indeterminate" }), raised({ severity: "indeterminate" }))
    await operator.post(`/v1/cases/alert/${id}/transitions/investigate`)
    const after = (await operator.get("/v1/alerts/summary")).body.items as typeof before
    expect(amount(after, "indeterminate", "ACTIVE_UNACK") - amount(before, "indeterminate", "ACTIVE_UNACK")).toBe(1)
    expect(after).toContainEqual({
      territoryId: null,
      severity: "indeterminate",
      state: "investigating",
      status: "ACTIVE_ACK",
      amount: 1
    })
    expect((await foreigner.get("/v1/alerts/summary")).body.items).toEqual([])
  })

  test("are_for_those_who_may", async () => {
    const citizen = await kit.samarkand.citizen("+998901350001")
    for (const path of ["/v1/alerts", "/v1/alerts/summary", "/v1/rotas", "/v1/ladders", "/v1/maintenance-windows"]) {
      expect((await citizen.get(path)).status).toBe(403)
      expect((await kit.samarkand.visitor.get(path)).status).toBeOneOf([401, 403])
    }
    expect((await citizen.post("/v1/incidents", { title: "Mine" })).status).toBe(403)
    expect((await citizen.post("/v1/cases/incident", { data: { title: "Mine", severity: "major" } })).status).toBe(403)
    expect((await operator.post("/v1/cases/alert", { data: {} })).status).toBe(422)
    expect((await operator.post("/v1/rotas", { name: "Mine", shifts: [] })).status).toBe(403)
    for (const query of ["severity=awful", "state=gone", "active=perhaps", "asset=pump", "limit=201"])
      expect((await operator.get(`/v1/alerts?${query}`)).status).toBe(400)
  })
})

describe("an incident", () => {
  test("is_opened_with_its_alerts_gets_a_work_order_and_is_resolved", async () => {
    const [one, two] = await apply(raised(), raised({ severity: "critical" }))
    const key = newKey()
    const body = { title: "Burst main", alerts: [one], commanderId: operator.id }
    const made = await operator.post("/v1/incidents", body, { "idempotency-key": key })
    expect(made.status).toBe(201)
    expect((await operator.post("/v1/incidents", body, { "idempotency-key": key })).body.id).toBe(made.body.id)
    const path = placeOf(made)
    expect(path).toBe(`/v1/cases/incident/${made.body.id}`)
    expect((await operator.post(`/v1/incidents/${made.body.id}/alerts`, { alerts: [two] })).status).toBe(204)
    expect((await operator.get(path)).body).toMatchObject({ assigneeId: operator.id, data: { severity: "critical" } })
    const order = await operator.post("/v1/work-orders", {
      data: { title: "Close valve 7", kind: "repair", assetId: asset(20) },
      parentId: made.body.id
    })
    expect(order.status).toBe(201)
    const work = (step: string, input: object = {}) =>
      operator.post(`/v1/cases/work-order/${order.body.id}/transitions/${step}`, input)
    await work("dispatch")
    await work("start")
    expect((await work("finish", { done: "Closed", cost: 90_000 })).body.state).toBe("done")
    const log = await operator.get(`/v1/assets/${asset(20)}/maintenance-log`)
    expect(log.body.items).toMatchObject([
      { what: "Closed", cost: "90000", by: operator.id, workOrderId: order.body.id }
    ])
    expect((await foreigner.get(`/v1/assets/${asset(20)}/maintenance-log`)).body.items).toEqual([])
    const resolved = await operator.post(`${path}/transitions/resolve`, { outcome: "The valve is closed." })
    expect(resolved.body.state).toBe("resolved")
    for (const id of [one, two]) expect((await operator.get(`/v1/cases/alert/${id}`)).body.state).toBe("resolved")
  })

  test("is_merged_by_the_kernels_door", async () => {
    const [one, two] = await apply(raised(), raised({ severity: "critical" }))
    const open = async (alert: string) =>
      (await operator.post("/v1/incidents", { title: "The same", alerts: [alert] })).body.id as string
    const [into, gone] = [await open(one!), await open(two!)]
    expect((await operator.post(`/v1/cases/incident/${gone}/merge`, { into })).status).toBe(204)
    expect((await operator.get(`/v1/cases/incident/${gone}`)).body.state).toBe("merged")
    expect((await operator.get(`/v1/cases/incident/${into}`)).body.data.severity).toBe("critical")
    const parts = await operator.get(`/v1/cases?type=alert&parent=${into}`)
    expect(parts.body.items).toHaveLength(2)
  })
})

describe("maintenance windows", () => {
  test("are_made_moved_and_ended_and_hold_alerts_while_they_last", async () => {
    const until_ = new Date(Date.now() + 3_600_000).toISOString()
    const made = await operator.post("/v1/maintenance-windows", {
      until: until_,
      reason: "New pump",
      devices: [asset(30)]
    })
    expect(made.status).toBe(201)
    const path = placeOf(made)
    const [id] = await apply(raised({ key: { rule: "low", originator: asset(30) }, at: Date.now() + 1000 }))
    expect((await operator.get(`/v1/cases/alert/${id}`)).body).toMatchObject({
      state: "suppressed",
      data: { window: made.body.id }
    })
    const later = { until: new Date(Date.now() + 7_200_000).toISOString() }
    const stale = await operator.call("PATCH", path, { body: later, headers: { "if-match": '"7"' } })
    expect(stale.status).toBe(412)
    const moved = await operator.call("PATCH", path, {
      body: later,
      headers: { "if-match": made.headers.get("etag")! }
    })
    expect(moved.body).toMatchObject({ ...later, version: 2 })
    expect((await foreigner.get(path)).status).toBe(404)
    expect((await foreigner.call("DELETE", path)).status).toBe(404)
    expect((await operator.call("DELETE", path)).status).toBe(204)
    expect((await operator.get("/v1/maintenance-windows?active=true")).body.items).toEqual([])
    expect((await operator.get("/v1/maintenance-windows")).body.items).toHaveLength(1)
    expect((await operator.post("/v1/maintenance-windows", { until: until_, reason: "All" })).status).toBe(400)
  })
})

describe("rotas and ladders", () => {
  test("are_made_replaced_and_removed_by_an_administrator_and_say_who_is_on_call", async () => {
    const week = { days: [1, 2, 3, 4, 5, 6, 7], from: "00:00", to: "00:00" }
    const made = await admin.post("/v1/rotas", {
      name: "Engineers",
      shifts: [{ layer: 0, ...week, personId: operator.id }]
    })
    expect(made.status).toBe(201)
    const path = placeOf(made)
    expect((await operator.get(`${path}/on-call`)).body.people).toEqual([operator.id])
    const soon = { from: "2030-01-01T00:00:00Z", until: "2030-01-02T00:00:00Z" }
    const override = await admin.post(`${path}/overrides`, { ...soon, personId: admin.id })
    expect(override.status).toBe(201)
    expect((await operator.get(`${path}/on-call?at=2030-01-01T12:00:00Z`)).body.people).toEqual([admin.id])
    expect((await operator.get(`${path}/overrides`)).body.items).toHaveLength(1)
    const turns = { layer: 0, members: [operator.id, admin.id], begins: "2026-11-16", handover: "08:00", weeks: 1 }
    const put_ = await admin.call("PUT", path, { body: { name: "Engineers", shifts: [], rotations: [turns] } })
    expect(put_.body).toMatchObject({ version: 2, shifts: [], rotations: [turns] })
    expect((await operator.get(path)).body).toEqual(put_.body)
    // Samarkand is five hours before Greenwich.
    for (const [moment, people] of [
      ["2026-11-16T02:59:59Z", []],
      ["2026-11-16T03:00:00Z", [operator.id]],
      ["2026-11-23T02:59:59Z", [operator.id]],
      ["2026-11-23T03:00:00Z", [admin.id]],
      ["2030-01-01T12:00:00Z", [admin.id]]
    ] as const)
      expect((await operator.get(`${path}/on-call?at=${moment}`)).body).toMatchObject({ people })
    const refused = async (rotation: object) => {
      const body = { name: "Turns", shifts: [], rotations: [{ ...turns, ...rotation }] }
      const answer = await admin.post("/v1/rotas", body)
      return [answer.status, answer.body.errors[0].pointer]
    }
    expect(await refused({ begins: "2026-02-30" })).toEqual([400, "/rotations/0/begins"])
    expect(await refused({ members: [] })).toEqual([400, "/rotations/0/members"])
    expect(await refused({ members: [null] })).toEqual([400, "/rotations/0/members"])
    expect(await refused({ members: [operator.id, foreigner.id] })).toEqual([400, "/rotations/0/members/1"])
    expect(await refused({ weeks: 0 })).toEqual([400, "/rotations/0/weeks"])
    const ladder = await admin.post("/v1/ladders", {
      name: "All",
      severities: ["critical"],
      steps: [{ after: 0, rotaId: made.body.id }],
      repeat: { every: 15, times: 3 }
    })
    expect(ladder.status).toBe(201)
    expect((await admin.call("DELETE", path)).body).toMatchObject({ code: "rota-in-use" })
    const bad = await admin.post("/v1/ladders", {
      name: "Bad",
      severities: ["critical"],
      steps: [
        { after: 10, rotaId: made.body.id, role: "nobody" },
        { after: 5, personId: foreigner.id }
      ],
      repeat: { every: 1, times: 1 }
    })
    expect(bad.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      "/steps/0",
      "/steps/1/after",
      "/repeat/every",
      "/steps/0/role"
    ])
    const shifts = [{ layer: 0, ...week, from: "25:00", personId: operator.id }]
    expect((await admin.post("/v1/rotas", { name: "Bad", shifts })).status).toBe(400)
    expect((await admin.post("/v1/rotas", { name: "Engineers", shifts: [] })).body.errors[0].pointer).toBe("/name")
    const theirs = { name: "Theirs", shifts: [{ layer: 0, ...week, personId: foreigner.id }] }
    expect((await admin.post("/v1/rotas", theirs)).body.errors[0].pointer).toBe("/shifts/0/personId")
    expect((await foreigner.get(path)).status).toBe(404)
    const ladderPath = placeOf(ladder)
    const put = await admin.call("PUT", ladderPath, {
      body: { name: "All", severities: ["major"], steps: [{ after: 5, role: "control-room-operator" }] },
      headers: { "if-match": ladder.headers.get("etag")! }
    })
    expect(put.body).toMatchObject({ version: 2, severities: ["major"] })
    expect((await admin.call("DELETE", ladderPath)).status).toBe(204)
    expect((await admin.call("DELETE", path)).status).toBe(204)
    expect((await admin.get("/v1/rotas")).body.items).toEqual([])
  })
})
