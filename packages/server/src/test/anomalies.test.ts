/** What detection has found, over HTTP, and how easily it finds it. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { expectProblem } from "./problem.ts"
import { eventually, rulesKit } from "./rulesKit.ts"

let kit: CityKit
let admin: Client
let city: ReturnType<typeof rulesKit>

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  admin = kit.samarkand.staff["municipality-admin"]
  city = rulesKit(kit, admin)
})
afterAll(() => kit?.close())

describe("anomalies", () => {
  test("are_listed_by_datastream_and_newest_first_page_by_page_for_whoever_may_see_the_device", async () => {
    const [near, far] = [await city.device("odd-1"), await city.device("odd-2")]
    const start = Date.now() - 1_200_000
    for (const [place, meter] of [near, far].entries())
      for (const [minute, pressure] of [25, 5, 26, 5, 27].entries())
        await meter.send({ pressure }, start + (2 * minute + place) * 60_000)
    const streamOf = async ({ id }: { id: string }) =>
      String((await admin.get(`/v1/devices/${id}/datastreams`)).body.items[0].datastreamId)
    const stream = await streamOf(near)
    const span = `from=${new Date(start - 1000).toISOString()}&to=${new Date().toISOString()}`
    await eventually(async () => {
      for (const meter of [near, far])
        expect(
          (await admin.get(`/v1/datastreams/${await streamOf(meter)}/anomalies?${span}`)).body.items.filter(
            ({ kind }: { kind: string }) => kind === "range"
          )
        ).toHaveLength(3)
    })
    const walk = async (path: string, client: Client = admin) => {
      const found: Array<{ at: string; kind: string; value: number; device: string }> = []
      for (let cursor: string | undefined = ""; cursor !== undefined;) {
        const { body, status } = await client.get(`${path}&limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`)
        expect([status, body.items?.length <= 2]).toEqual([200, true])
        found.push(...body.items)
        cursor = body.cursor
      }
      return found
    }
    const own = (await walk(`/v1/datastreams/${stream}/anomalies?${span}`)).filter(({ kind }) => kind === "range")
    expect(own.map(({ value }) => value)).toEqual([25, 26, 27])
    expect(own[0]).toMatchObject({ low: 0, high: 20 })
    const all = (await walk("/v1/anomalies?kind=range")).filter(({ device: name }) => name.startsWith("odd-"))
    expect(all.map(({ device: name, value }) => [name, value])).toEqual([
      ["odd-2", 27],
      ["odd-1", 27],
      ["odd-2", 26],
      ["odd-1", 26],
      ["odd-2", 25],
      ["odd-1", 25]
    ])
    expect(await walk("/v1/anomalies?kind=range", kit.bukhara.staff["municipality-admin"])).toEqual([])
    expect(await walk("/v1/anomalies?kind=range", kit.samarkand.staff.inspector)).toEqual([])
    expectProblem(
      "a datastream of another city",
      await kit.bukhara.staff["municipality-admin"].get(`/v1/datastreams/${stream}/anomalies?${span}`),
      {
        status: 404,
        type: "not-found"
      }
    )
    expectProblem("no cursor", await admin.get("/v1/anomalies?cursor=x"), {
      status: 400,
      type: "invalid-input",
      pointers: ["#query/cursor"]
    })
  })

  test("are_raised_as_easily_as_the_city_says", async () => {
    expect((await admin.get("/v1/telemetry-settings")).body).toEqual({ sensitivity: null })
    const set = await admin.call("PUT", "/v1/telemetry-settings", { body: { sensitivity: 0.9 } })
    expect([set.status, set.body]).toEqual([200, { sensitivity: 0.9 }])
    expect((await admin.get("/v1/telemetry-settings")).body.sensitivity).toBeCloseTo(0.9, 6)
    expect((await kit.bukhara.staff["municipality-admin"].get("/v1/telemetry-settings")).body).toEqual({
      sensitivity: null
    })
    expectProblem("too much", await admin.call("PUT", "/v1/telemetry-settings", { body: { sensitivity: 2 } }), {
      status: 400,
      type: "invalid-input",
      pointers: ["/sensitivity"]
    })
    expectProblem(
      "without permission",
      await kit.samarkand.staff.inspector.call("PUT", "/v1/telemetry-settings", { body: { sensitivity: 0 } }),
      {
        status: 403,
        type: "forbidden"
      }
    )
    expect((await admin.call("PUT", "/v1/telemetry-settings", { body: { sensitivity: null } })).status).toBe(200)
    const events = await kit.sql<{ sensitivity: string | null }>(
      "select payload ->> 'sensitivity' as sensitivity from mahalla.event where type = 'telemetry-settings.changed' order by id"
    )
    expect(events).toEqual([{ sensitivity: "0.9" }, { sensitivity: null }])
  })
})
