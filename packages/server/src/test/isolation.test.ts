/**
 * Two cities that look the same, with everything in the second one marked. Whoever belongs to the first walks through every door there is with
 * the second one's ids, and must see nothing of it and change nothing in it.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { follow, makeClient, rawCall, until, upload } from "./client.ts"
import { type CityKit, openCityKit, picture, report } from "./cityKit.ts"
import { crawl } from "./isolation/crawl.ts"
import {
  authority,
  detector,
  furnish,
  mark,
  marked,
  phantom,
  phantomTenant,
  plain,
  type Things
} from "./isolation/things.ts"

let kit: CityKit
let ours: Things
let theirs: Things

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), detector, plugins: [authority] })
  ;[ours, theirs] = await Promise.all([
    furnish(kit, kit.samarkand, "ANOR5", "+998900000001"),
    furnish(kit, kit.bukhara, mark, "+998900000002")
  ])
})
afterAll(() => kit?.close())

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
  /** What a walk with the second city's ids shows of it. */
  const findings = async () => {
    const steps = await crawl(kit, people(), theirs, kit.bukhara)
    const wrong = steps.flatMap(({ address, answer, body, method, names, path, who }) => {
      const label = `${who}: ${method} ${address} → ${answer.status}`
      const found = marked(answer, theirs, `${address} ${JSON.stringify(body ?? "")}`)
      // Nothing is undone, and of an asset on which nobody here has worked there is an empty log.
      const silent =
        (method === "DELETE" && path.endsWith("/subscription")) ||
        (path.endsWith("/maintenance-log") && answer.text === '{"items":[]}')
      return [
        ...(found.length > 0 ? [`${label} shows ${found.join(", ")}`] : []),
        ...(answer.status >= 500 ? [label] : []),
        // An address that names a thing of another city leads nowhere, whoever asks.
        ...(names && answer.status < 400 && !silent ? [label] : [])
      ]
    })
    return { steps, wrong }
  }

  test("see_nothing_and_change_nothing_at_any_door", async () => {
    const before = await whenQuiet()
    const { steps, wrong } = await findings()
    expect(new Set(steps.map(({ method, path }) => `${method} ${path}`)).size).toBeGreaterThan(65)
    expect(wrong).toEqual([])
    expect(steps.length).toBeGreaterThan(300)
    expect(await fingerprint()).toEqual(before)
  })

  test("get_the_same_answers_as_for_what_does_not_exist", async () => {
    const nobodys = phantom(theirs)
    const nowhere = phantomTenant(kit.bukhara)
    const other = await crawl(kit, people(), theirs, kit.bukhara)
    const none = await crawl(kit, people(), nobodys, nowhere)
    expect(other.length).toBe(none.length)
    const differences = other.flatMap((step, place) => {
      const [seen, expected] = [plain(step.answer, theirs, kit.bukhara), plain(none[place]!.answer, nobodys, nowhere)]
      // The whole text where a list shows the asker's own things, which grow with every walk.
      return seen === expected || (!step.names && step.answer.status === none[place]!.answer.status)
        ? []
        : [`${step.who}: ${step.method} ${step.address}: ${seen} instead of ${expected}`]
    })
    expect(differences).toEqual([])
  })

  test("meet_a_first_wall_that_holds_without_the_second", async () => {
    const walls = await kit.sql<{ table: string; policy: string; using: string | null; check: string | null }>(
      `select tablename as table, policyname as policy, qual as using, with_check as check from pg_policies
       where schemaname = 'mahalla' and policyname like 'tenant\\_%'`
    )
    expect(walls.length).toBeGreaterThan(60)
    const set = async (clause: (was: string) => string) => {
      for (const { check, policy, table, using } of walls)
        await kit.sql(
          `alter policy ${policy} on mahalla.${table}` +
            (using === null ? "" : ` using (${clause(using)})`) +
            (check === null ? "" : ` with check (${clause(check)})`)
        )
    }
    await set(() => "true")
    try {
      expect((await findings()).wrong).toEqual([])
    } finally {
      await set((was) => was)
    }
  })

  test("and_their_own_people_notice_when_a_policy_is_dropped", async () => {
    const own = kit.bukhara.staff["municipality-admin"]
    const look = async () => {
      const paths = [
        "/v1/cases?limit=200",
        `/v1/cases/traffic-report/${theirs.report}`,
        `/v1/cases/traffic-report/${theirs.report}/timeline`,
        `/v1/cases/traffic-report/${theirs.report}/comments`,
        `/v1/cases/traffic-report/${theirs.report}/links`,
        `/v1/attachments/${theirs.attachment}`,
        `/v1/principals/${theirs.citizen.id}`,
        `/v1/principals/${kit.bukhara.staff.inspector.id}`,
        "/v1/event-log?limit=200",
        "/v1/audit/checkpoints",
        "/v1/delegations",
        "/v1/roles",
        "/v1/payouts",
        "/v1/filings",
        "/v1/accounts",
        `/v1/accounts/${theirs.account}/statement?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z`,
        "/v1/reconciliations",
        "/v1/reconciliation-differences",
        "/v1/offences",
        "/v1/territories",
        "/v1/openid-providers",
        "/v1/device-profiles",
        "/v1/devices",
        `/v1/devices/${theirs.device}/datastreams`,
        `/v1/devices/${theirs.device}/credentials`,
        `/v1/devices/${theirs.device}/commands`,
        "/v1/device-provisioning",
        "/v1/rules",
        `/v1/rules/${theirs.rule}`,
        "/v1/hydraulic-zones",
        `/v1/hydraulic-zones/${theirs.zone}/leaks`,
        "/v1/alerts",
        "/v1/rotas",
        `/v1/rotas/${theirs.rota}/overrides`,
        "/v1/ladders",
        "/v1/maintenance-windows",
        "/v1/networks",
        "/v1/assets",
        "/v1/network-imports",
        "/v1/webhooks",
        `/v1/webhooks/${theirs.webhook}/messages`,
        `/v1/webhooks/${theirs.webhook}/recoveries/${theirs.webhookRecovery}`
      ]
      const answers = await Promise.all(paths.map((path) => own.get(path)))
      return answers
        .map((answer) => `${answer.status} ${answer.text.replaceAll(/"requestId":"[^"]*"/g, "")}`)
        .join("\n")
    }
    const tables = [
      "civic_case",
      "case_comment",
      "attachment",
      "principal",
      "role_grant",
      "role",
      "delegation",
      "territory",
      "event",
      "event_order",
      "log_checkpoint",
      "offence",
      "payout",
      "filing",
      "account",
      "openid_provider",
      "device_profile",
      "device",
      "datastream",
      "device_credential",
      "device_command",
      "device_provisioning",
      "rule",
      "rule_version",
      "hydraulic_zone",
      "leak",
      "alert",
      "rota",
      "rota_shift",
      "rota_rotation",
      "rota_member",
      "rota_override",
      "ladder",
      "ladder_step",
      "maintenance_window",
      "network",
      "asset",
      "network_import",
      "webhook_endpoint",
      "webhook_message",
      "webhook_recovery"
    ]
    const whole = await look()
    const unseen: Array<string> = []
    for (const table of tables) {
      await kit.sql(`drop policy tenant_select on mahalla.${table}`)
      try {
        if ((await look()) === whole) unseen.push(table)
      } finally {
        await kit.sql(
          `create policy tenant_select on mahalla.${table} for select to mahalla_app using (tenant_id = (select mahalla.current_tenant()))`
        )
      }
    }
    expect(unseen).toEqual([])
    expect(await look()).toEqual(whole)
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
      "/v1/filings",
      "/v1/filings?state=decided",
      "/v1/authorities",
      "/v1/accounts",
      "/v1/reconciliations",
      "/v1/reconciliation-differences?open=false",
      "/v1/offences",
      "/v1/territories",
      "/v1/roles",
      "/v1/permissions",
      "/v1/openid-providers",
      "/v1/auth/openid",
      "/v1/me/openid",
      "/v1/delegations",
      `/v1/delegations?receiver=${theirs.citizen.id}`,
      "/v1/device-profiles",
      "/v1/devices",
      `/v1/devices?q=${mark}`,
      "/v1/device-provisioning",
      "/v1/rules",
      "/v1/anomalies",
      "/v1/hydraulic-zones",
      "/v1/readings/dead-letters",
      "/v1/telemetry-settings",
      "/v1/alerts",
      `/v1/alerts?rule=${theirs.rule}`,
      "/v1/alerts/summary",
      "/v1/maintenance-windows",
      "/v1/rotas",
      "/v1/ladders",
      "/v1/networks",
      "/v1/assets?bbox=-180,-90,180,90",
      "/v1/assets.geojson?bbox=-180,-90,180,90",
      "/v1/assets/nearest?longitude=66.97&latitude=39.65",
      "/v1/network-imports",
      "/v1/webhooks",
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
    const rows = (await admin.get("/v1/cases?type=traffic-report,traffic-violation&limit=200")).body
      .items as ReadonlyArray<{ id: string }>
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
