/** What a rule would have raised, before anybody is alerted. */
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

describe("a dry run", () => {
  const hour = 3_600_000
  const start = Math.floor((Date.now() - 3 * hour) / 60_000) * 60_000
  const tried = (definition: object, more: object = {}, client: Client = admin) =>
    client.post("/v1/rules/dry-run", { definition, ...more })

  test("says_what_would_have_been_raised_and_raises_nothing", async () => {
    const [first, second] = [await city.device("dry-1"), await city.device("dry-2")]
    for (const [minute, pressure] of [5, 9, 12, 9, 5, 5, 9, 5].entries()) {
      await first.send({ pressure }, start + minute * 60_000)
      await second.send({ pressure: 5 }, start + minute * 60_000)
    }
    const rule = {
      ...ruleFor(first.profile, above(8), above(11, "critical")),
      scope: { kind: "each", profiles: [first.profile, second.profile] }
    }
    const before = await kit.sql<{ count: number }>("select count(*)::int from mahalla.civic_case where type = 'alert'")
    const { body, status } = await tried(rule)
    expect([status, body.raised, body.standing, body.devices, body.readings]).toEqual([200, 2, 0, 2, 16])
    expect(body.bySeverity).toEqual({ critical: 1, major: 1, minor: 0, warning: 0, indeterminate: 0 })
    expect(body.byDevice).toEqual([{ originator: first.id, name: "dry-1", raised: 2 }])
    const at = (minute: number) => new Date(start + minute * 60_000).toISOString()
    expect(body.episodes.map((one: Record<string, unknown>) => [one["severity"], one["from"], one["until"]])).toEqual([
      ["critical", at(1), at(4)],
      ["major", at(6), at(7)]
    ])
    const part = await tried(rule, { from: at(5), until: at(20) })
    expect([part.body.raised, part.body.readings]).toEqual([1, 6])
    expect(await kit.sql("select count(*)::int from mahalla.civic_case where type = 'alert'")).toEqual(before)
    expect(await kit.sql("select from mahalla.rule where id = 'dry-run'")).toEqual([])
  })

  test("reads_only_what_the_rule_looks_at_with_anomalies_and_places", async () => {
    const meter = await city.device("dry-3")
    await meter.send({ pressure: 5 }, start)
    await meter.send({ pressure: 25 }, start + 60_000)
    await eventually(async () =>
      expect(
        await kit.sql(
          "select from mahalla.anomaly a join mahalla.datastream s on s.number = a.datastream where s.device_id = $1",
          [meter.id]
        )
      ).toHaveLength(1)
    )
    const condition = { kind: "anomaly", datastream: "pressure", anomalies: ["range"], seconds: 60 }
    const { body } = await tried(ruleFor(meter.profile, { severity: "minor", condition }))
    expect([body.raised, body.readings, body.episodes[0].from]).toEqual([1, 2, new Date(start + 60_000).toISOString()])
  })

  test("of_more_readings_than_it_can_hold_says_how_to_ask_for_fewer_and_many_pages_give_what_one_gives", async () => {
    const meter = await city.device("dry-4")
    await meter.send({ pressure: 1 }, start)
    const [stream] = await kit.sql<{ number: string }>("select number from mahalla.datastream where device_id = $1", [
      meter.id
    ])
    // Every 2,000th of 50,000 readings is high, each for one reading: 25 alerts, if every page goes on where the last one ended.
    const fill = (amount: number) =>
      kit.sql(
        `insert into mahalla.reading (tenant_id, datastream, at, sequence, value, batch, retention, quality)
         select $1, $2, $3::timestamptz - make_interval(secs => n * 0.25), 0, case when n % 2000 = 0 then 9 else 5 end, 0, 90, 0
         from generate_series(1, $4::int) n on conflict do nothing`,
        [kit.samarkand.id, stream!.number, new Date(start), amount]
      )
    for (let days = 0; days < 8; days++)
      await kit.sql("select mahalla.ensure_telemetry_partition('reading_90', now() - make_interval(days => $1))", [
        days
      ])
    await fill(50_000)
    const rule = { ...ruleFor(meter.profile, above(8)), perHour: 60 }
    const { body } = await tried(rule)
    expect([body.readings, body.raised, body.standing]).toEqual([50_001, 25, 0])
    const narrow = await tried(rule, { from: new Date(start - 1_600_000).toISOString() })
    expect([narrow.body.readings, narrow.body.raised]).toEqual([6_401, 3])
    await fill(2_000_001)
    const refused = await tried(rule)
    expectProblem("too many", refused, { status: 422, type: "refused" })
    expect(refused.body).toMatchObject({ code: "too-many-readings" })
    expect(refused.body.detail).toMatch(/2000000 readings at most.*later from/)
  }, 240_000)

  test("of_what_cannot_be_tried_is_refused", async () => {
    const meter = await city.device("dry-5")
    const rule = ruleFor(meter.profile, above(8))
    expectProblem(
      "a time that ends before it begins",
      await tried(rule, { until: "2020-01-01T00:00:00Z", from: "2021-01-01T00:00:00Z" }),
      {
        status: 400,
        type: "invalid-input",
        pointers: ["/until"]
      }
    )
    expectProblem("longer than a year", await tried(rule, { from: "1970-01-01T00:00:00Z" }), {
      status: 400,
      type: "invalid-input",
      pointers: ["/from"]
    })
    expectProblem("another's profile", await tried(ruleFor("nobody's", above(8))), {
      status: 400,
      type: "invalid-input",
      pointers: ["/definition/scope/profiles/0"]
    })
    expectProblem("without permission", await tried(rule, {}, kit.samarkand.staff.inspector), {
      status: 403,
      type: "forbidden"
    })
  })
})
