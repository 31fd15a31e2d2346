/**
 * Two cities that look the same, with everything in the second one marked. Whoever belongs to the first walks through every door there is with
 * the second one's ids, and must see nothing of it and change nothing in it.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Answer, type Client, follow, makeClient, rawCall, until, upload } from "./client.ts"
import { type CityKit, lightDetector, openCityKit, picture, report, type TenantKit } from "./cityKit.ts"

/** In everything that the second city wrote. */
const mark = "QOVUN7"

interface Things {
  readonly citizen: Client & { readonly id: string }
  readonly report: string
  readonly violation: string
  readonly attachment: string
  readonly payout: string
  readonly grant: string
  readonly unattached: string
  readonly deadLetter: string
  readonly app: string
}

let kit: CityKit
let ours: Things
let theirs: Things

const detector = lightDetector(({ frames }) =>
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

/** Dead letters are what failed for good; nothing in a healthy city makes one. */
const deadLetter = async (tenant: TenantKit, text: string) => {
  const rows = await kit.sql<{ id: string }>(
    `insert into mahalla.job (tenant_id, id, topic, body, state, died_at, last_error)
     values ($1, gen_random_uuid(), $2, '{}', 'dead', now(), $3) returning id`,
    [tenant.id, `dead.${text.toLowerCase()}`, text]
  )
  return rows[0]!.id
}

/** Everything that a city can have one of, with a mark in every text. */
const furnish = async (tenant: TenantKit, text: string, phone: string): Promise<Things> => {
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
  const staff = await admin.post("/v1/principals", { name: `Staff ${text}` })
  const grant = await admin.post(`/v1/principals/${staff.body.id}/grants`, { role: "inspector" })
  const dead = await deadLetter(tenant, text)
  const app = await citizen.post("/v1/apps", {
    name: `App ${text}`,
    auth: "client_secret_basic",
    redirectUris: [`https://${text.toLowerCase()}.example/`],
    grantTypes: ["authorization_code"],
    scopes: ["openid"]
  })
  await until("told", async () => {
    const { body } = await admin.get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
    return body.items.filter((message: { class: string }) => message.class === "notice").length >= 3
  })
  return {
    citizen,
    report: made.id,
    violation,
    attachment: made.attachment,
    payout,
    grant: String(grant.body.id),
    unattached: unattached.id,
    deadLetter: dead,
    app: String(app.body.id)
  }
}

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), detector })
  ;[ours, theirs] = await Promise.all([
    furnish(kit.samarkand, "ANOR5", "+998900000001"),
    furnish(kit.bukhara, mark, "+998900000002")
  ])
})
afterAll(() => kit?.close())

interface Operation {
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

const operations = async (): Promise<ReadonlyArray<Operation>> => {
  const { body } = await kit.samarkand.visitor.get("/openapi.json")
  const listed = Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) =>
    Object.keys(item).map((method) => ({ method: method.toUpperCase(), path }))
  )
  return [...listed.filter(({ path }) => path !== "/v1/events"), ...unlisted]
}

/** What stands in the place of a parameter: each thing of a city that could be meant. */
const idsFor = (path: string, things: Things, tenant: TenantKit): ReadonlyArray<string> => {
  if (path.includes("traffic-violation")) return [things.violation]
  if (path.includes("traffic-report") || path.startsWith("/v1/reports")) return [things.report]
  if (path.startsWith("/v1/attachments")) return [things.attachment, things.unattached]
  if (path.startsWith("/v1/principals")) return [things.citizen.id, tenant.staff.inspector.id]
  if (path.startsWith("/v1/payouts")) return [things.payout]
  if (path.startsWith("/v1/dead-letters")) return [things.deadLetter]
  if (path.includes("/apps/")) return [things.app]
  return [things.report]
}

const addresses = (path: string, things: Things, tenant: TenantKit): ReadonlyArray<string> => {
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
        .replace("{code}", mark.toLowerCase())
        .replace("{upload}", things.unattached)
    )
  )
}

const bodyFor = (method: string, path: string, things: Things): unknown => {
  if (method === "GET" || method === "DELETE" || method === "HEAD") return undefined
  if (path.endsWith("/comments")) return { text: "from another city" }
  if (path.endsWith("/links")) return { kind: "caused-by", to: things.violation }
  if (path.endsWith("/merge")) return { into: things.report }
  if (path.endsWith("/apps/{id}/status")) return { status: "blocked" }
  if (path.endsWith("/assignee")) return { assigneeId: things.citizen.id }
  if (path.endsWith("/grants")) return { role: "inspector" }
  if (/(reject|close|appeal|reopen)$/.test(path)) return { reason: "from another city" }
  if (path.endsWith("add-violation")) return { offence: mark.toLowerCase() }
  if (path.endsWith("/v1/cases/traffic-report"))
    return {
      data: { offence: mark.toLowerCase(), occurredAt: "2026-11-20T08:00:00Z" },
      place: { longitude: 1, latitude: 1 },
      attachments: [things.unattached]
    }
  return {}
}

const marked = (answer: Answer, things: Things, except: string): ReadonlyArray<string> => {
  const all = `${answer.text} ${JSON.stringify([...answer.headers])}`
  const secret = [
    mark,
    mark.toLowerCase(),
    things.report,
    things.violation,
    things.attachment,
    things.payout,
    things.grant,
    things.app
  ]
  return secret.filter((text) => all.includes(text) && !except.includes(text))
}

/** Rows of the second city, table by table. */
const fingerprint = async () => {
  const tables = await kit.sql<{ name: string }>(
    `select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
     where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname not in ('rate_limit', 'event_cursor', 'job', 'event_outbox') order by 1`
  )
  const found: Record<string, string> = {}
  for (const { name } of tables) {
    const [row] = await kit.sql<{ hash: string }>(
      `select coalesce(md5(string_agg(t::text, '' order by t::text)), '') as hash from mahalla.${name} t where tenant_id = $1`,
      [kit.bukhara.id]
    )
    found[name] = row!.hash
  }
  return found
}

/** The second city's own messages may still be on their way. */
const whenQuiet = async () => {
  await until("no message on its way", async () => {
    const rows = await kit.sql("select from mahalla.message where tenant_id = $1 and state = 'queued'", [
      kit.bukhara.id
    ])
    const waiting = await kit.sql(
      `select from mahalla.event_outbox union all select from mahalla.event_head head where not exists
         (select from mahalla.log_checkpoint where tenant_id = head.tenant_id and size = head.position)`
    )
    return rows.length + waiting.length === 0
  })
  let last = await fingerprint()
  return until("a second in which nothing changed", async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const now = await fingerprint()
    const same = JSON.stringify(now) === JSON.stringify(last)
    last = now
    return same ? now : undefined
  })
}

const people = () =>
  [
    ["a citizen", ours.citizen],
    ["an inspector", kit.samarkand.staff.inspector],
    ["an administrator", kit.samarkand.staff["municipality-admin"]],
    ["a visitor", kit.samarkand.visitor]
  ] as const

describe("another city's people", () => {
  test("see_nothing_and_change_nothing_at_any_door", async () => {
    const before = await whenQuiet()
    const all = await operations()
    expect(all.length).toBeGreaterThan(50)
    const wrong: Array<string> = []
    let calls = 0
    for (const [who, client] of people()) {
      for (const { method, path } of all) {
        if (path.startsWith("/v1/auth")) continue
        for (const address of addresses(path, theirs, kit.bukhara)) {
          const query = path === "/v1/cases" || path === "/v1/cases.csv" ? `?parent=${theirs.report}` : ""
          const tus =
            path.includes("{upload}") && method !== "GET"
              ? { "tus-resumable": "1.0.0", "upload-offset": "0", "content-type": "application/offset+octet-stream" }
              : undefined
          const answer = await client.call(method, address + query, {
            ...(tus === undefined ? { body: bodyFor(method, path, theirs) } : { headers: tus }),
            ...(tus !== undefined && method === "PATCH" ? { body: new Uint8Array(4) } : {})
          })
          calls++
          const label = `${who}: ${method} ${address} → ${answer.status}`
          const found = marked(answer, theirs, `${address} ${JSON.stringify(bodyFor(method, path, theirs) ?? "")}`)
          if (found.length > 0) wrong.push(`${label} shows ${found.join(", ")}`)
          if (answer.status >= 500) wrong.push(label)
          // An address that names a thing of another city leads nowhere, whoever asks.
          const names = /\{(id|upload)\}/.test(path)
          const silent = method === "DELETE" && path.endsWith("/subscription")
          if (names && answer.status < 400 && !silent) wrong.push(label)
        }
      }
    }
    expect(wrong).toEqual([])
    expect(calls).toBeGreaterThan(250)
    expect(await fingerprint()).toEqual(before)
  })

  test("see_nothing_in_lists_searches_boxes_and_exports", async () => {
    const queries = [
      `/v1/cases?q=${mark}`,
      "/v1/cases?limit=200",
      "/v1/cases?bbox=-180,-90,180,90",
      `/v1/cases?assignee=${theirs.citizen.id}`,
      `/v1/cases.csv?q=${mark}`,
      "/v1/cases.csv",
      `/v1/principals?q=${mark}`,
      `/v1/principals?cursor=${theirs.citizen.id}`,
      "/v1/event-log?after=0&limit=200",
      "/v1/audit/export",
      "/v1/audit/checkpoints",
      "/v1/audit/inclusion?position=1",
      "/v1/dead-letters",
      "/v1/apps",
      "/v1/me/apps",
      `/v1/dead-letters?topic=dead.${mark.toLowerCase()}`,
      `/v1/outbox?to=${encodeURIComponent("+998900000002")}`,
      "/v1/outbox?limit=200",
      "/v1/payouts",
      "/v1/accounts",
      "/v1/offences",
      "/v1/territories",
      "/v1/city"
    ]
    for (const [who, client] of people()) {
      for (const query of queries) {
        const answer = await client.get(query)
        expect({ who, query, found: marked(answer, theirs, "") }).toEqual({ who, query, found: [] })
        expect(answer.text).not.toContain("+998900000002")
      }
    }
    // The same questions do find the marks where they belong.
    const shown = await Promise.all(queries.map((query) => kit.bukhara.staff["municipality-admin"].get(query)))
    expect(shown.filter((answer) => marked(answer, theirs, "").length > 0).length).toBeGreaterThanOrEqual(10)
    const admin = kit.samarkand.staff["municipality-admin"]
    expect((await admin.get("/v1/outbox?limit=200")).text).toContain("+998900000001")
    expect((await admin.get("/v1/dead-letters")).body.items.map((one: { id: string }) => one.id)).toEqual([
      ours.deadLetter
    ])
    const rows = (await admin.get("/v1/cases?limit=200")).body.items as ReadonlyArray<{ id: string }>
    expect(rows.map((row) => row.id).sort()).toEqual([ours.report, ours.violation].sort())
  })

  test("find_no_door_that_takes_their_token_in_the_other_city", async () => {
    for (const [who, client] of people().slice(0, 3)) {
      const inTheirs = makeClient(`${kit.url}/t/bukhara`, client.headers)
      for (const path of ["/v1/me", "/v1/cases", `/v1/cases/traffic-report/${theirs.report}`, "/v1/events"]) {
        const answer = await inTheirs.get(path)
        expect([who, path, answer.status]).toEqual([who, path, 401])
        expect(answer.body.type).toBe("urn:mahalla:problem:unauthorized")
      }
      const file = await upload(inTheirs, picture(), "x.jpg")
      expect(file.answer.status).toBe(401)
    }
  })

  test("cannot_name_the_other_city_beside_the_address", async () => {
    const admin = kit.samarkand.staff["municipality-admin"]
    const authorization = admin.headers["authorization"]!
    for (const path of [
      `/t/samarkand/t/bukhara/v1/cases`,
      `/t/samarkand/../bukhara/v1/cases`,
      `/t/samarkand%2f..%2fbukhara/v1/cases`,
      `/t/samarkand//v1/../../bukhara/v1/cases`,
      `/t/bukhara/v1/cases`,
      `/v1/cases?tenant=bukhara`
    ]) {
      const answer = await rawCall(kit.url, "GET", path, { authorization, host: "bukhara.example" })
      expect([path, answer.status >= 400, marked(answer, theirs, path)]).toEqual([path, true, []])
    }
    const hinted = await admin.get("/v1/cases?limit=200", { "x-tenant": "bukhara", "x-mahalla-tenant": kit.bukhara.id })
    expect(marked(hinted, theirs, "")).toEqual([])
  })

  test("hear_nothing_of_it_in_the_live_feed", async () => {
    const feed = await follow(kit.samarkand.staff["municipality-admin"], "0")
    const other = await follow(kit.bukhara.staff["municipality-admin"], "0")
    try {
      await until("both feeds speak", async () => feed.seen.length > 5 && other.seen.length > 5)
      const added = await report(theirs.citizen)
      await until("the other city hears of it", async () =>
        other.seen.some((event) => event.data.case?.id === added.id)
      )
      const own = await report(ours.citizen)
      await until("ours hears of its own", async () => feed.seen.some((event) => event.data.case?.id === own.id))
      const text = JSON.stringify(feed.seen)
      for (const id of [theirs.report, theirs.violation, added.id, mark]) expect(text).not.toContain(id)
      // Positions are each city's own: without gaps, whatever the other one does.
      const positions = feed.seen.map((event) => Number(event.id))
      expect(positions).toEqual(positions.map((_, index) => positions[0]! + index))
    } finally {
      await feed.stop()
      await other.stop()
    }
  })

  test("share_no_idempotency_keys_phones_codes_or_links", async () => {
    const key = { "idempotency-key": `shared-${mark}` }
    const bodies = await Promise.all(
      [kit.samarkand, kit.bukhara].map((tenant) =>
        tenant.staff["municipality-admin"].post("/v1/principals", { name: "The same name" }, key)
      )
    )
    expect(bodies.map((answer) => answer.status)).toEqual([201, 201])
    expect(bodies[0]!.body.id).not.toBe(bodies[1]!.body.id)
    // One phone is two people in two cities, and a code of one opens nothing in the other.
    const phone = "+998900000003"
    const client = makeClient(`${kit.url}/t/samarkand`)
    expect((await client.post("/v1/auth/code", { phone })).status).toBe(202)
    const outbox = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
    const code = /\b\d{6}\b/.exec(String(outbox.body.items[0].text))![0]
    const elsewhere = await makeClient(`${kit.url}/t/bukhara`).post("/v1/auth/session", { phone, code })
    expect([elsewhere.status, elsewhere.body.type]).toEqual([401, "urn:mahalla:problem:sign-in-refused"])
    expect((await client.post("/v1/auth/session", { phone, code })).status).toBe(200)
  })

  test("keep_every_message_under_its_city_on_the_disk", () => {
    const log = readFileSync(join(kit.home, "plugins/mahalla-outbox-messenger/outbox-000001.ndjson"), "utf8")
    const lines = log
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { to: string; tenantId?: string })
    expect(lines.every((line) => line.tenantId !== undefined)).toBe(true)
    for (const line of lines.filter((one) => one.to === "+998900000002")) expect(line.tenantId).toBe(kit.bukhara.id)
  })
})
