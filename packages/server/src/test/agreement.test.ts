/**
 * Whether three say the same: the pure policy, the doors, and what lists and row-level security let through. Each question is a principal, a
 * permission, a territory and a case, made up from one seed; `MAHALLA_SOAK=1` asks more than 200,000 of them.
 */
import { decide, type Principal, trafficReport, trafficViolation } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, type TenantKit } from "./cityKit.ts"
import {
  citizenPermissions,
  makeSociety,
  type Matter,
  ownRoles,
  rolesInForce,
  seeded,
  type Society
} from "./agreement/society.ts"

const soak = process.env["MAHALLA_SOAK"] === "1"
const seed = Number(process.env["MAHALLA_SEED"] ?? Date.now() % 1_000_000)
const size = { people: soak ? 500 : 50, cases: 400 }
const minutes = soak ? 900_000 : 120_000

/** How many questions there were, where somebody waits for the number. */
const tell = (text: string) => {
  if (soak) console.log(`agreement: ${text}, seed ${seed}`)
}

let kit: CityKit
let ours: Society
let theirs: Society
const tokens = new Map<string, string>()

const definitions = { "traffic-report": trafficReport.definition, "traffic-violation": trafficViolation.definition }

/** In this process, without a socket. */
const ask = async (
  tenant: TenantKit,
  principal: Pick<Principal, "id">,
  method: string,
  path: string,
  body?: unknown
) => {
  const response = await kit.city.fetch(
    new Request(`http://city.test/t/${tenant.slug}${path}`, {
      method,
      headers: {
        ...(principal.id === null ? {} : { authorization: tokens.get(principal.id)! }),
        ...(body === undefined ? {} : { "content-type": "application/json" })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    }),
    { ip: "10.9.8.7" }
  )
  const text = await response.text()
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
}

const allowed = (principal: Principal, permission: string, matter: Matter | "everywhere", tenantId: string) =>
  decide(rolesInForce, {
    principal,
    permission,
    tenantId,
    now: Date.now(),
    subject:
      matter === "everywhere"
        ? { territoryPath: [] }
        : { territoryPath: matter.area?.path ?? [], ownerId: matter.ownerId }
  }).allowed

/** Everything that a list shows to somebody, page after page. */
const listed = async (tenant: TenantKit, principal: Pick<Principal, "id">) => {
  const seen = new Set<string>()
  for (let cursor: string | undefined; ;) {
    const { body, status } = await ask(
      tenant,
      principal,
      "GET",
      `/v1/cases?limit=200${cursor === undefined ? "" : `&cursor=${cursor}`}`
    )
    expect(status).toBe(200)
    for (const { id } of body.items) seen.add(id)
    if (body.cursor === undefined) return seen
    cursor = body.cursor
  }
}

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  for (const tenant of [kit.samarkand, kit.bukhara]) {
    const admin = tenant.staff["municipality-admin"]
    for (const role of ownRoles) expect((await admin.post("/v1/roles", role)).status).toBe(201)
    const changed = await admin.call("PATCH", "/v1/roles/citizen", { body: { permissions: citizenPermissions } })
    expect(changed.status).toBe(200)
  }
  ours = await makeSociety(kit, kit.samarkand, { seed, ...size })
  theirs = await makeSociety(kit, kit.bukhara, { seed: seed + 1, people: 20, cases: 20 })
  for (const [tenant, society] of [
    [kit.samarkand, ours],
    [kit.bukhara, theirs]
  ] as const)
    for (const { id } of society.people) tokens.set(id, (await tenant.signedIn(id)).headers["authorization"]!)
}, minutes)
afterAll(() => kit?.close())

const visitor = (tenant: TenantKit): Principal => ({ id: null, kind: "anonymous", tenantId: tenant.id, grants: [] })

describe("policy, doors and lists", () => {
  test(
    "agree_on_who_may_read_which_case",
    async () => {
      let asked = 0
      let yes = 0
      const wrong: Array<string> = []
      for (const principal of [visitor(kit.samarkand), ...ours.people]) {
        const seen = await listed(kit.samarkand, principal)
        for (const matter of ours.cases) {
          asked++
          const expected = allowed(principal, `${matter.type}.read`, matter, kit.samarkand.id)
          if (expected) yes++
          if (seen.has(matter.id) !== expected)
            wrong.push(`${principal.kind} ${principal.id} ${matter.type} ${matter.id}: policy ${expected}`)
        }
      }
      expect(wrong.slice(0, 10), `seed ${seed}`).toEqual([])
      expect(asked).toBeGreaterThanOrEqual(soak ? 200_000 : 20_000)
      // Neither answer is the rule.
      expect(yes / asked).toBeGreaterThan(0.05)
      expect(yes / asked).toBeLessThan(0.95)
      tell(`${asked} questions about reading, ${yes} answered yes`)
    },
    minutes
  )

  test(
    "agree_on_single_cases_and_on_what_may_be_done_with_them",
    async () => {
      const random = seeded(seed + 2)
      const any = <A>(from: ReadonlyArray<A>): A => from[Math.floor(random() * from.length)]!
      let asked = 0
      const wrong: Array<string> = []
      for (let count = 0; count < (soak ? 5_000 : 600); count++) {
        const [principal, matter] = [any(ours.people), any(ours.cases)]
        const label = `${principal.kind} ${principal.id} ${matter.type} ${matter.id}`
        const may = (permission: string) => {
          asked++
          return allowed(principal, permission, matter, kit.samarkand.id)
        }
        const { body, status } = await ask(kit.samarkand, principal, "GET", `/v1/cases/${matter.type}/${matter.id}`)
        const reads = may(`${matter.type}.read`)
        if (status !== (reads ? 200 : 404)) wrong.push(`${label}: ${status}, policy ${reads}`)
        if (status !== 200) continue
        for (const [name, transition] of Object.entries(definitions[matter.type].transitions)) {
          if (transition.internal === true || !transition.from.includes(matter.state)) continue
          const expected = may(transition.permission ?? `${matter.type}.${name}`)
          if (body.possible.includes(name) !== expected) wrong.push(`${label} ${name}: policy ${expected}`)
        }
        const comment = await ask(kit.samarkand, principal, "POST", `/v1/cases/${matter.type}/${matter.id}/comments`, {
          text: "A question",
          visibility: count % 2 === 0 ? "internal" : "public"
        })
        const comments = may(`${matter.type}.${count % 2 === 0 ? "comment-internal" : "comment"}`)
        if ((comment.status === 201) !== comments || ![201, 403].includes(comment.status))
          wrong.push(`${label} comment: ${comment.status}, policy ${comments}`)
      }
      expect(wrong.slice(0, 10), `seed ${seed}`).toEqual([])
      expect(asked).toBeGreaterThan(soak ? 6_000 : 700)
      tell(`${asked} questions about single cases and what may be done with them`)
    },
    minutes
  )

  test(
    "agree_on_doors_of_the_whole_city",
    async () => {
      const doors = [
        ["event.read", "/v1/event-log?limit=1"],
        ["principal.read", "/v1/principals?limit=1"],
        ["role.read", "/v1/roles"],
        ["job.read", "/v1/dead-letters?limit=1"],
        ["plugin.read", "/v1/plugins"],
        ["account.read", "/v1/accounts"],
        ["audit.read", "/v1/audit/checkpoints"]
      ] as const
      let asked = 0
      const wrong: Array<string> = []
      for (const principal of [visitor(kit.samarkand), ...ours.people])
        for (const [permission, path] of doors) {
          asked++
          const { status } = await ask(kit.samarkand, principal, "GET", path)
          const expected = allowed(principal, permission, "everywhere", kit.samarkand.id)
          if (status !== (expected ? 200 : 403))
            wrong.push(`${principal.id} ${permission}: ${status}, policy ${expected}`)
        }
      expect(wrong.slice(0, 10), `seed ${seed}`).toEqual([])
      tell(`${asked} questions about the whole city`)
    },
    minutes
  )

  test("agree_that_nobody_sees_another_citys_cases", async () => {
    const ids = new Set(ours.cases.map(({ id }) => id))
    let asked = 0
    for (const principal of theirs.people) {
      const seen = await listed(kit.bukhara, principal)
      for (const matter of ours.cases) {
        asked++
        expect(allowed(principal, `${matter.type}.read`, matter, kit.samarkand.id)).toBe(false)
        expect(seen.has(matter.id)).toBe(false)
      }
      expect((await ask(kit.samarkand, principal, "GET", "/v1/cases")).status).toBe(401)
    }
    // Behind every list: what the database shows to the application at all.
    for (const [tenant, expected] of [
      [kit.samarkand.id, ours.cases.length],
      [kit.bukhara.id, 0],
      ["", 0]
    ] as const) {
      await kit.sql("begin")
      await kit.sql("set local role mahalla_app")
      await kit.sql("select set_config('mahalla.tenant', $1, true)", [tenant])
      const rows = await kit.sql<{ id: string }>("select id from mahalla.civic_case")
      await kit.sql("rollback")
      asked += ours.cases.length
      expect(rows.filter(({ id }) => ids.has(id)).length).toBe(expected)
    }
    tell(`${asked} questions about another city's cases`)
  })
})
