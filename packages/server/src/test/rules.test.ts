/** Rules as a city's own data: from a definition over HTTP to alerts that come and go with it. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { expectProblem } from "./problem.ts"
import { above, eventually, ruleFor, rulesKit } from "./rulesKit.ts"

let kit: CityKit
let admin: Client
let city: ReturnType<typeof rulesKit>

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  admin = kit.samarkand.staff["municipality-admin"]
  city = rulesKit(kit, admin)
})
afterAll(() => kit?.close())

describe("a rule", () => {
  test("made_a_moment_ago_raises_and_clears_when_it_is_disabled_or_removed", async () => {
    const meter = await city.device("meter-1")
    const made = await city.put("too-high", ruleFor(meter.profile, above(8)))
    expect([made.status, made.headers.get("etag")]).toEqual([201, '"1"'])
    expect(made.body).toMatchObject({ id: "too-high", version: 1, enabled: true, warnings: [] })
    await meter.send({ pressure: 9 })
    await eventually(async () => expect(await city.alertsOf("too-high")).toEqual([["major", "ACTIVE_UNACK"]]))

    const off = await admin.post("/v1/rules/too-high/disable")
    expect([off.status, off.body.enabled, off.body.version]).toEqual([200, false, 1])
    await eventually(async () => expect(await city.alertsOf("too-high")).toEqual([["major", "CLEARED_UNACK"]]))
    const on = await admin.post("/v1/rules/too-high/enable")
    expect(on.body.enabled).toBe(true)
    await meter.send({ pressure: 11 })
    await eventually(async () =>
      expect(await city.alertsOf("too-high")).toEqual([
        ["major", "ACTIVE_UNACK"],
        ["major", "CLEARED_UNACK"]
      ])
    )

    expect((await admin.call("DELETE", "/v1/rules/too-high")).status).toBe(204)
    await eventually(async () =>
      expect(await city.alertsOf("too-high")).toEqual([
        ["major", "CLEARED_UNACK"],
        ["major", "CLEARED_UNACK"]
      ])
    )
    expectProblem("gone", await admin.get("/v1/rules/too-high"), { status: 404, type: "not-found" })
  })

  test("counts_its_versions_and_says_in_the_log_who_changed_what", async () => {
    const meter = await city.device("meter-2")
    const first = ruleFor(meter.profile, above(8))
    expect((await city.put("counted", first)).body.version).toBe(1)
    expect((await city.put("counted", first)).body.version).toBe(1)
    const second = await city.put("counted", ruleFor(meter.profile, above(9)), { "if-match": '"1"' })
    expect([second.status, second.body.version]).toEqual([200, 2])
    expectProblem("an old version", await city.put("counted", first, { "if-match": '"1"' }), {
      status: 412,
      type: "version-conflict"
    })
    expectProblem("a version of nothing", await city.put("not-there", first, { "if-match": '"1"' }), {
      status: 412,
      type: "version-conflict"
    })
    expect((await admin.call("DELETE", "/v1/rules/counted", { headers: { "if-match": '"2"' } })).status).toBe(204)
    expect((await city.put("counted", first)).body.version).toBe(3)
    const { body } = await admin.get("/v1/rules/counted")
    expect(body.definition).toEqual(first)
    expect(body.versions.map(({ version }: { version: number }) => version)).toEqual([3, 2, 1])
    const stored = await kit.sql<{ version: number; enabled: boolean }>(
      "select version, enabled from mahalla.rule where tenant_id = $1 and id = 'counted'",
      [kit.samarkand.id]
    )
    expect(stored).toEqual([{ version: 3, enabled: true }])
    const events = await kit.sql<{ what: string; version: string; actor: string }>(
      `select payload ->> 'what' as what, payload ->> 'version' as version, actor_id as actor from mahalla.event
       where type = 'rule.changed' and payload ->> 'ruleId' = 'counted' order by id`
    )
    expect(events.map(({ version, what }) => `${what} ${version}`)).toEqual([
      "created 1",
      "replaced 2",
      "removed 2",
      "created 3"
    ])
    expect(new Set(events.map(({ actor }) => actor))).toEqual(new Set([kit.samarkand.staff["municipality-admin"].id]))
  })

  test("that_cannot_work_is_refused_with_a_pointer_to_each_mistake_and_nothing_is_stored", async () => {
    const meter = await city.device("meter-3")
    const wrong = {
      ...ruleFor(meter.profile, {
        severity: "major",
        condition: { kind: "compare", datastream: "flow", is: "above", than: { kind: "constant", value: 1 } }
      }),
      scope: { kind: "each", profiles: [meter.profile, "nobody's"] }
    }
    expectProblem("what is not there", await city.put("wrong", wrong), {
      status: 400,
      type: "invalid-input",
      pointers: ["/definition/scope/profiles/1", "/definition/levels/0/condition/datastream"]
    })
    const shape = { ...ruleFor(meter.profile, above(8)), levels: [{ severity: "major", condition: { kind: "not" } }] }
    expectProblem("the wrong form", await city.put("wrong", shape), {
      status: 400,
      type: "invalid-input",
      pointers: ["/definition/levels/0/condition/condition"]
    })
    expectProblem(
      "a version of its own",
      await city.put("wrong", { ...ruleFor(meter.profile, above(8)), version: 7 }),
      {
        status: 400,
        type: "invalid-input",
        pointers: ["/definition/version"]
      }
    )
    expect(await kit.sql("select from mahalla.rule where id in ('wrong', 'not-there')")).toEqual([])

    const doubtful = await city.put("doubtful", ruleFor(meter.profile, above(30)))
    expect(doubtful.body.warnings).toEqual([
      {
        pointer: "/definition/levels/0/condition",
        detail: "With the values that the profile calls possible, this never holds."
      }
    ])
  })

  test("is_read_and_changed_only_by_whoever_may_and_never_from_another_city", async () => {
    const meter = await city.device("meter-4")
    await city.put("ours", ruleFor(meter.profile, above(8)))
    const foreign = kit.bukhara.staff["municipality-admin"]
    for (const answer of [
      await foreign.get("/v1/rules/ours"),
      await foreign.post("/v1/rules/ours/disable"),
      await foreign.call("DELETE", "/v1/rules/ours")
    ])
      expectProblem("elsewhere", answer, { status: 404, type: "not-found" })
    expect((await foreign.get("/v1/rules")).body.items).toEqual([])
    const inspector = kit.samarkand.staff.inspector
    for (const answer of [
      await inspector.get("/v1/rules"),
      await city.put("ours", ruleFor(meter.profile, above(9)), {}, inspector),
      await inspector.post("/v1/rules/ours/disable")
    ])
      expectProblem("without permission", answer, { status: 403, type: "forbidden" })
    const page = await admin.get("/v1/rules?limit=1&enabled=true")
    const next = await admin.get(`/v1/rules?limit=200&enabled=true&cursor=${page.body.cursor}`)
    const ids = [...page.body.items, ...next.body.items].map(({ id }: { id: string }) => id)
    expect(ids).toContain("ours")
    expect(ids).toEqual(ids.toSorted())
    expect((await admin.get("/v1/rules?enabled=false")).body.items).toEqual([])
  })
})
