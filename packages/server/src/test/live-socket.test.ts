/** The WebSocket of live screens: several subscriptions on one connection, who may open it, and how it ends. */
import { applyAlertEffects } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, follow, until } from "./client.ts"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { askForUpgrade, openLive, tokenOf } from "./liveSocket.ts"
import { districtsOf, type Meter, meterOf, staffIn } from "./meters.ts"

let kit: CityKit
let base: string
let districts: Awaited<ReturnType<typeof districtsOf>>
let north: Meter
let south: Meter
let engineer: Client

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  base = `${kit.url}/t/samarkand`
  districts = await districtsOf(kit, "samarkand")
  north = await meterOf(kit, "samarkand", "north", { territoryId: districts.within, groups: ["mains"] })
  south = await meterOf(kit, "samarkand", "south", { territoryId: districts.south })
  engineer = await staffIn(kit, "samarkand", "device-engineer", null)
})
afterAll(() => kit?.close())

const raise = (originator: string, severity: "critical" | "minor", episode: string, rule = "low-pressure") =>
  kit.city.as({ tenant: "samarkand", principal: "system" }).run(
    applyAlertEffects([
      {
        kind: "raise",
        key: { rule, originator },
        episode,
        at: Date.now(),
        severity,
        summary: "The pressure is low",
        details: {}
      }
    ])
  )

describe("a live connection", () => {
  test("carries_several_subscriptions_each_with_its_own_filters", async () => {
    const live = await openLive(base, tokenOf(engineer))
    expect(live.heard[0]).toEqual({ principal: expect.stringMatching(/-/) })
    const begun = await live.subscribe({ id: "all", to: "readings" })
    expect(begun).toEqual({ id: "all", batch: expect.any(Number), readings: [] })
    await live.subscribe({ id: "north", to: "readings", territory: districts.north, keys: ["flow"] })
    await live.subscribe({ id: "mains", to: "readings", groups: ["mains"], devices: [north.id, south.id] })
    await north.send({ pressure: 1, flow: 2 })
    await south.send({ pressure: 3, flow: 4 })
    await until("both", async () => live.readings("all").length === 4, 10)
    expect(live.readings("north")).toEqual(["north flow 2"])
    expect([...live.readings("mains")].sort()).toEqual(["north flow 2", "north pressure 1"])
    live.say({ unsubscribe: "all" })
    await live.subscribe({ id: "after", to: "readings" })
    await south.send({ pressure: 5 })
    await until("the next", async () => live.readings("after").length === 1, 10)
    expect(live.readings("all")).toHaveLength(4)
    await live.close()
  })

  test("hears_of_alerts_by_severity_device_and_type_and_of_nothing_it_may_not_read", async () => {
    const operator = await staffIn(kit, "samarkand", "control-room-operator", null)
    const live = await openLive(base, tokenOf(operator))
    const outside = await openLive(base, tokenOf(await kit.samarkand.citizen("+998901112201")))
    await live.subscribe({ id: "critical", to: "events", types: ["alert.*"], severity: ["critical"] })
    await live.subscribe({ id: "south", to: "events", types: ["alert.created"], devices: [south.id] })
    await outside.subscribe({ id: "all", to: "events" })
    const feed = await follow(operator, undefined, "/v1/events?types=alert.*&severity=critical,major")
    await raise(north.id, "critical", "1")
    await raise(south.id, "minor", "1")
    const of = (id: string) => live.heard.filter((message) => message.id === id && message.event !== undefined)
    await until("both", async () => of("critical").length > 0 && of("south").length > 0, 10)
    expect(of("critical")).toMatchObject([{ event: { type: "alert.created", case: { type: "alert", state: "open" } } }])
    await until("by the feed too", async () => feed.seen.length > 0, 10)
    expect(feed.seen.map(({ data }) => data.case.id)).toEqual([of("critical")[0].event.case.id])
    await feed.stop()
    expect(of("south")).toHaveLength(1)
    expect(of("south")[0].event.case.id).not.toBe(of("critical")[0].event.case.id)
    expect(outside.heard.filter(({ event }) => event !== undefined)).toEqual([])
    await Promise.all([live.close(), outside.close()])
  })

  test("hears_of_an_alert_that_becomes_another_severity_under_both_and_of_who_has_it", async () => {
    const operator = await staffIn(kit, "samarkand", "control-room-operator", null)
    const live = await openLive(base, tokenOf(operator))
    for (const severity of ["critical", "minor", "warning"])
      await live.subscribe({ id: severity, to: "events", severity: [severity] })
    const [raised] = await raise(south.id, "minor", "1", "slow-leak")
    const heard = (id: string) =>
      live.heard.flatMap((message) =>
        message.id === id && message.event?.case.id === raised!.caseId ? [message.event.type] : []
      )
    await until("the alert", async () => heard("minor").length === 1, 10)
    const key = { rule: "slow-leak", originator: south.id }
    await kit.city
      .as({ tenant: "samarkand", principal: "system" })
      .run(applyAlertEffects([{ kind: "update", key, episode: "1", at: Date.now(), severity: "critical" }]))
    await until("the change", async () => heard("critical").length > 0 && heard("minor").length > 1, 10)
    expect([heard("critical"), heard("minor")]).toEqual([["alert.change"], ["alert.created", "alert.change"]])
    const path = `/v1/cases/alert/${raised!.caseId}/assignee`
    const { id } = (await operator.get("/v1/me")).body
    expect((await operator.call("PUT", path, { body: { assigneeId: id } })).status).toBe(200)
    await until("the assignment", async () => heard("critical").length > 1, 10)
    expect([heard("critical")[1], heard("minor").length, heard("warning")]).toEqual(["case.assigned", 2, []])
    await live.close()
  })

  test("resumes_events_and_readings_where_it_was_cut", async () => {
    const dispatcher = await staffIn(kit, "samarkand", "dispatcher", null)
    const token = tokenOf(dispatcher)
    const before = await openLive(base, token)
    const { position } = await before.subscribe({ id: "events", to: "events", types: ["traffic-report.*"] })
    await before.close()
    const { batch } = await (await openLive(base, tokenOf(engineer))).subscribe({ id: "r", to: "readings" })
    const { id } = await report(await kit.samarkand.citizen("+998901112202"))
    for (let value = 0; value < 20; value++) await north.send({ flow: value })
    const after = await openLive(base, token)
    await after.subscribe({ id: "events", to: "events", types: ["traffic-report.*"], after: position })
    await until("the report", async () => after.heard.some(({ event }) => event?.case?.id === id), 10)
    expect(after.heard.find(({ event }) => event !== undefined).event).toMatchObject({
      type: "traffic-report.created",
      case: { id }
    })
    const readings = await openLive(base, tokenOf(engineer))
    await readings.subscribe({ id: "r", to: "readings", keys: ["flow"], after: String(batch) })
    await until("all", async () => readings.readings("r").length === 20, 10)
    expect(readings.readings("r")).toEqual(Array.from({ length: 20 }, (_, value) => `north flow ${value}`))
    await Promise.all([after.close(), readings.close()])
  })

  test("begins_at_the_newest_event_where_the_place_is_of_another_time", async () => {
    const dispatcher = await staffIn(kit, "samarkand", "dispatcher", null)
    const live = await openLive(base, tokenOf(dispatcher))
    const { position } = await live.subscribe({ id: "now", to: "events", types: ["traffic-report.created"] })
    const begun = await live.subscribe({
      id: "later",
      to: "events",
      types: ["traffic-report.created"],
      after: "9".repeat(18)
    })
    expect(Number(begun.position)).toBeGreaterThanOrEqual(Number(position))
    expect(Number(begun.position)).toBeLessThan(1e9)
    const feed = await follow(dispatcher, "9".repeat(18), "/v1/events?types=traffic-report.created")
    const { id } = await report(await kit.samarkand.citizen("+998901112205"))
    const of = (name: string) => live.heard.filter((message) => message.id === name && message.event !== undefined)
    await until("both", async () => of("now").length > 0 && of("later").length > 0 && feed.seen.length > 0, 10)
    expect([of("later")[0].event.case.id, feed.seen[0]!.data.case.id]).toEqual([id, id])
    await Promise.all([live.close(), feed.stop()])
  })

  test("tells_what_is_wrong_with_a_message_and_goes_on", async () => {
    const live = await openLive(base, tokenOf(engineer))
    const wrong = async (message: unknown) => {
      const place = live.heard.length
      live.say(message)
      return until("an answer", async () => live.heard[place], 10)
    }
    for (const message of ["{", "[]", { hello: 1 }, { subscribe: { to: "readings" } }, { subscribe: 1 }])
      expect(await wrong(message)).toMatchObject({
        problem: { type: "urn:mahalla:problem:invalid-input", status: 400, requestId: expect.any(String) }
      })
    expect(await wrong({ subscribe: { id: "a", to: "readings", devices: ["x"] } })).toMatchObject({
      id: "a",
      problem: { errors: [{ pointer: "/subscribe/devices/0" }] }
    })
    expect(await wrong({ subscribe: { id: "a", to: "readings", severity: ["critical"] } })).toMatchObject({ id: "a" })
    await live.subscribe({ id: "b", to: "readings" })
    const place = live.heard.length
    live.say({ subscribe: { id: "b", to: "events" } })
    await until("a conflict", async () => live.heard[place]?.problem?.status === 409, 10)
    for (let more = 0; more < 32; more++) live.say({ subscribe: { id: `more ${more}`, to: "readings" } })
    await until("a limit", async () => live.heard.some(({ problem }) => problem?.status === 429), 10)
    live.say({ unsubscribe: "b" })
    await north.send({ pressure: 77 })
    await until("what it subscribed", async () => live.readings("more 0").includes("north pressure 77"), 10)
    await live.close()
  })

  test("is_for_those_who_say_who_they_are", async () => {
    const silent = openLive(base, undefined)
    const wrong = await openLive(base, "not-a-token")
    expect(wrong.heard[0]).toMatchObject({ problem: { status: 401 } })
    expect((await wrong.ended).code).toBe(1008)
    const theirs = await openLive(base, tokenOf(kit.bukhara.staff.auditor))
    expect((await theirs.ended).code).toBe(1008)
    const early = await openLive(base, undefined)
    early.say({ subscribe: { id: "a", to: "readings" } })
    expect((await early.ended).code).toBe(1008)
    const visitor = await openLive(base, null)
    expect(await visitor.subscribe({ id: "a", to: "readings" })).toMatchObject({ problem: { status: 403 } })
    await visitor.close()
    const began = Date.now()
    expect((await (await silent).ended).code).toBe(1008)
    expect(Date.now() - began).toBeLessThan(8_000)
  })

  test("is_opened_by_a_header_and_refused_before_the_handshake_where_the_header_is_of_no_worth", async () => {
    const good = await askForUpgrade(base, { authorization: `Bearer ${tokenOf(engineer)}` })
    expect(good.status).toBe(101)
    good.socket?.destroy()
    const bad = await askForUpgrade(base, { authorization: "Bearer x" })
    expect([bad.status, bad.body.type]).toEqual([401, "urn:mahalla:problem:unauthorized"])
    const inUrl = await askForUpgrade(base, {}, `/v1/live?access_token=${tokenOf(engineer)}`)
    expect(inUrl.status).toBe(101)
    inUrl.socket?.destroy()
    expect((await askForUpgrade(base, {}, "/v1/cases")).status).toBe(404)
    expect((await askForUpgrade(kit.url, {}, "/t/nowhere/v1/live")).status).toBe(404)
    expect((await kit.samarkand.visitor.get("/v1/live")).status).toBe(426)
  })

  test("is_opened_by_pages_of_the_city_and_of_origins_it_allows_and_by_no_other_page", async () => {
    const status = async (origin: string) => {
      const { socket, status: found } = await askForUpgrade(base, { origin })
      socket?.destroy()
      return found
    }
    expect(await status("https://evil.example")).toBe(403)
    expect(await status("null")).toBe(403)
    expect(await status("https://app.example")).toBe(101)
    expect(await status(kit.url)).toBe(101)
  })

  test("ends_with_1008_when_the_role_is_taken_away", async () => {
    const local = await staffIn(kit, "samarkand", "device-engineer", districts.north)
    const live = await openLive(base, tokenOf(local))
    await live.subscribe({ id: "a", to: "readings" })
    await local.dismiss()
    expect((await live.ended).code).toBe(1008)
    expect(live.heard.at(-1)).toMatchObject({ id: "a", problem: { status: 403 } })
  })

  test("is_told_to_come_back_where_the_city_cannot_find_out_who_somebody_is", async () => {
    await kit.sql("alter table mahalla.session rename to session_elsewhere")
    try {
      const live = await openLive(base, tokenOf(engineer))
      expect(live.heard[0]).toMatchObject({ problem: { status: 500 } })
      expect((await live.ended).code).toBe(1013)
    } finally {
      await kit.sql("alter table mahalla.session_elsewhere rename to session")
    }
  })

  test("goes_on_with_a_newer_token_of_the_same_person_and_ends_with_anothers", async () => {
    const citizen = await kit.samarkand.citizen("+998901112203")
    const live = await openLive(base, tokenOf(citizen))
    await live.subscribe({ id: "a", to: "events" })
    live.say({ token: tokenOf(await kit.samarkand.signedIn(citizen.id)) })
    await live.subscribe({ id: "b", to: "events" })
    live.say({ token: tokenOf(engineer) })
    expect((await live.ended).code).toBe(1008)
  })

  test("is_refused_what_is_too_large_too_much_or_not_text", async () => {
    const large = await openLive(base, tokenOf(engineer))
    large.say("x".repeat(70_000))
    expect((await large.ended).code).toBe(1009)
    const many = await openLive(base, tokenOf(engineer))
    for (let message = 0; message < 500; message++) many.say({ unsubscribe: "a" })
    expect([1008, 1006]).toContain((await many.ended).code)
  })

  test("has_a_limit_of_connections_for_each_principal", async () => {
    const citizen = await kit.samarkand.citizen("+998901112204")
    const open = await Promise.all(Array.from({ length: 30 }, () => openLive(base, tokenOf(citizen))))
    const more = await openLive(base, tokenOf(citizen))
    expect(more.heard[0]).toMatchObject({ problem: { status: 429 } })
    expect((await more.ended).code).toBe(1013)
    const byHeader = await askForUpgrade(base, { authorization: `Bearer ${tokenOf(citizen)}` })
    expect([byHeader.status, byHeader.body.type]).toEqual([429, "urn:mahalla:problem:too-many-requests"])
    await open[0]!.close()
    await until("a place", async () => {
      const again = await openLive(base, tokenOf(citizen))
      const good = again.heard[0].principal !== undefined
      await again.close()
      return good
    })
    await Promise.all(open.map(({ close }) => close()))
  })

  test("is_told_when_the_server_closes", async () => {
    const other = await kit.another()
    const live = await openLive(`${other.url}/t/samarkand`, tokenOf(engineer))
    await live.subscribe({ id: "a", to: "readings" })
    await other.close()
    expect((await live.ended).code).toBe(1001)
  })

  test("is_there_below_the_sub_path_of_a_host", async () => {
    const other = await kit.another({ basePath: "/city" })
    const live = await openLive(`${other.url}/city/t/samarkand`, tokenOf(engineer))
    await live.subscribe({ id: "a", to: "readings" })
    await live.close()
    expect((await askForUpgrade(`${other.url}/t/samarkand`)).status).toBe(404)
    await other.close()
  })
})
