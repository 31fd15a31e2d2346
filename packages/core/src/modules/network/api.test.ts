import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { VectorTile } from "@mapbox/vector-tile"
import { filesystem } from "@mahalla/filesystem"
import { postgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { PbfReader } from "pbf"
import { afterAll, assert, beforeAll, describe, inject, it } from "vitest"
import { type City, createCity } from "../../engine/createCity.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { freshDatabase } from "../../testing/freshDatabase.ts"
import { network } from "./index.ts"

const town = readFileSync(join(import.meta.dirname, "../../../../../examples/water-watch/network.inp"), "utf8")
const home = mkdtempSync(join(tmpdir(), "mahalla-network-"))
const scope = Effect.runSync(Scope.make())
const settings = {
  timeZone: "Asia/Tashkent",
  languages: ["en"],
  country: "UZ",
  currency: "UZS",
  calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
  corsOrigins: []
}
let city: City

/** `cookie`: the role. */
const ask = async (
  role: string,
  method: string,
  path: string,
  body?: string | object,
  headers: Record<string, string> = {},
  slug = "river"
) => {
  const json = typeof body === "object"
  const answer = await city.fetch(
    new Request(`http://city.example/t/${slug}${path}`, {
      method,
      headers: { cookie: role, ...(json ? { "content-type": "application/json" } : {}), ...headers },
      ...(body === undefined ? {} : { body: json ? JSON.stringify(body) : body })
    }),
    { ip: "203.0.113.9" }
  )
  const text = /json/.test(answer.headers.get("content-type") ?? "")
  return { status: answer.status, headers: answer.headers, body: (text ? await answer.json() : answer) as Erased }
}
const get = (path: string, role = "engineer") => ask(role, "GET", path)
const bring = (query: string, body = town, slug = "river") =>
  ask("engineer", "POST", `/v1/network-imports?format=epanet&${query}`, body, { "content-type": "text/plain" }, slug)
const anchored = "network=water&longitude=69.28&latitude=41.31"
const assetNamed = async (name: string, kind: string): Promise<Erased> =>
  (await get(`/v1/assets?q=${name}&kind=${kind}`)).body.items[0]
const pointers = ({ body }: { readonly body: Erased }) => body.errors?.map((one: Erased) => one.pointer)

beforeAll(async () => {
  const database = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  city = createCity({
    home,
    mode: "dev",
    logLevel: "Error",
    secret: "a secret for the tests of networks, not for use",
    plugins: [postgres({ url: Redacted.value(database.owner), maxConnections: 8 }), filesystem({})],
    modules: [network()],
    roles: [
      { id: "engineer", title: "Engineer", permissions: ["asset.read", "asset.change", "network.import"] },
      { id: "watcher", title: "Watcher", permissions: ["asset.read"] }
    ],
    login: async ({ headers }) =>
      headers["cookie"] === "engineer" || headers["cookie"] === "watcher"
        ? { externalId: headers["cookie"], kind: "staff", roles: [headers["cookie"]] }
        : null
  })
  await city.start()
  for (const slug of ["river", "hill"]) await city.admin.tenants.create({ slug, name: slug, settings })
  assert.strictEqual((await bring(anchored)).status, 201)
})
afterAll(async () => {
  await city.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true })
})

describe("the network's doors", () => {
  it("are_closed_to_who_may_not", async () => {
    const { id } = await assetNamed("P01", "pipe")
    assert.strictEqual((await get("/v1/assets", "")).status, 403)
    assert.strictEqual((await get("/v1/assets", "watcher")).status, 200)
    assert.strictEqual((await ask("watcher", "PATCH", `/v1/assets/${id}`, { status: "closed" })).status, 403)
    assert.strictEqual((await ask("watcher", "POST", "/v1/network-imports?network=x&format=epanet", "x")).status, 403)
    assert.strictEqual((await get("/v1/network-imports", "watcher")).status, 403)
    assert.strictEqual((await get(`/v1/assets/${id}`)).body.status, "open")
  })

  it("show_no_city_the_assets_of_another", async () => {
    const { id, networkId } = await assetNamed("P01", "pipe")
    for (const path of [
      `/v1/assets/${id}`,
      `/v1/assets/${id}/isolation`,
      `/v1/networks/${networkId}`,
      `/v1/networks/${networkId}/tiles/0/0/0.mvt`
    ])
      assert.strictEqual((await ask("engineer", "GET", path, undefined, {}, "hill")).status, 404, path)
    assert.lengthOf((await ask("engineer", "GET", "/v1/assets", undefined, {}, "hill")).body.items, 0)
  })

  it("take_a_file_again_and_say_before_what_it_would_do", async () => {
    const again = await bring(anchored)
    assert.deepInclude(again.body.report, { added: 0, changed: 0, retired: 0, unchanged: 103 })
    const planned = await bring(`${anchored}&dryRun=true`, town.replace("\t198\t100", "\t198\t110"))
    assert.deepStrictEqual(
      [planned.status, planned.body.dryRun, planned.body.report.examples.changed],
      [201, true, ["P01"]]
    )
    assert.strictEqual((await assetNamed("P01", "pipe")).diameter, 100)
    const named = await get(`/v1/network-imports/${planned.body.id}`)
    assert.strictEqual(named.body.state, "done")
    assert.strictEqual(planned.headers.get("location"), `/t/river/v1/network-imports/${planned.body.id}`)
    const page = await get("/v1/network-imports?limit=1")
    assert.lengthOf(page.body.items, 1)
    assert.isString(page.body.cursor)
  })

  it("name_every_mistake_by_its_place", async () => {
    const rows: ReadonlyArray<
      readonly [string, Promise<{ status: number; body: Erased }>, number, ReadonlyArray<string>?]
    > = [
      ["file", bring(anchored, town.replace("\tJ21\t198", "\tJ99\t198")), 400, ["#line/61"]],
      ["no file", bring(anchored, ""), 400, [""]],
      ["half an anchor", bring("network=water&longitude=1"), 400, ["#query/latitude"]],
      ["two transforms", bring(`${anchored}&projection=degrees`), 400, ["#query/projection"]],
      ["projection", bring("network=water&projection=EPSG:1"), 400, ["#query/projection"]],
      ["format", ask("engineer", "POST", "/v1/network-imports?network=a&format=dwg", "x"), 400, ["#query/format"]],
      ["box", get("/v1/assets?bbox=1,2,3"), 400, ["#query/bbox"]],
      ["no box", get("/v1/assets.geojson"), 400, ["#query/bbox"]],
      ["kind", get("/v1/assets?kind=pipes"), 400, ["#query/kind"]],
      ["nearest", get("/v1/assets/nearest?longitude=200&latitude=0"), 400, ["#query/longitude"]],
      ["nowhere near", get("/v1/assets/nearest?longitude=0&latitude=0"), 404],
      ["no such asset", get("/v1/assets/00000000-0000-7000-8000-000000000000/isolation"), 404],
      ["no id", get("/v1/assets/x"), 400, ["#params/id"]],
      ["network of that name", ask("engineer", "POST", "/v1/networks", { name: "water" }), 400, ["/name"]],
      [
        "status",
        ask("engineer", "PATCH", `/v1/assets/${(await assetNamed("V01", "valve")).id}`, { status: "ajar" }),
        400,
        ["/status"]
      ]
    ]
    for (const [name, asked, status, expected] of rows) {
      const answer = await asked
      assert.strictEqual(answer.status, status, `${name}: ${JSON.stringify(answer.body)}`)
      if (expected !== undefined) assert.deepStrictEqual(pointers(answer), expected, name)
    }
  })

  it("say_which_valves_shut_a_pipe_off_and_who_is_without_water", async () => {
    const pipe = await assetNamed("P32", "pipe")
    const plan = (await get(`/v1/assets/${pipe.id}/isolation`)).body
    assert.isTrue(plan.isolated)
    assert.isAbove(plan.close.length, 1)
    assert.isAbove(plan.withoutWater.demand, 5.03)
    assert.include(plan.segment, pipe.id)
    const [first] = plan.close
    const without = (await get(`/v1/assets/${pipe.id}/isolation?stuck=${first.id}`)).body
    assert.notInclude(
      without.close.map((one: Erased) => one.id),
      first.id
    )
    assert.deepStrictEqual(without.stuck, [first])
    assert.deepStrictEqual(pointers(await get(`/v1/assets/${pipe.id}/isolation?stuck=${pipe.id}`)), ["#query/stuck"])
    const up = (await get(`/v1/assets/${pipe.id}/upstream`)).body
    const down = (await get(`/v1/assets/${pipe.id}/downstream`)).body
    assert.deepStrictEqual([down.count, down.demand], [1, 5.04])
    assert.isAbove(up.count, 5)
    const end = await assetNamed("E1", "junction")
    const way = (
      await get(`/v1/networks/${pipe.networkId}/route?from=${end.id}&to=${(await assetNamed("HILL", "reservoir")).id}`)
    ).body
    assert.strictEqual(way.assets[0], end.id)
    assert.isAbove(way.metres, 1000)
  })

  it("give_an_area_as_GeoJSON_and_as_tiles", async () => {
    const area = await get("/v1/assets.geojson?bbox=69.27,41.30,69.30,41.32")
    assert.match(area.headers.get("content-type")!, /^application\/geo\+json/)
    assert.isAbove(area.body.features.length, 90)
    const pipe = area.body.features.find((one: Erased) => one.properties.externalId === "P35")
    assert.deepStrictEqual([pipe.geometry.type, pipe.geometry.coordinates.length], ["LineString", 3])
    const { networkId } = pipe.properties
    // The tile of the town's corner at zoom 14.
    const row = Math.floor((1 - Math.asinh(Math.tan((41.31 * Math.PI) / 180)) / Math.PI) * 2 ** 13)
    const path = `/v1/networks/${networkId}/tiles/14/${Math.floor(((69.281 + 180) / 360) * 2 ** 14)}/${row}.mvt`
    const tile = await get(path)
    assert.strictEqual(tile.headers.get("content-type"), "application/vnd.mapbox-vector-tile")
    const read = new VectorTile(new PbfReader(new Uint8Array(await tile.body.arrayBuffer())))
    assert.isAbove(read.layers["lines"]!.length, 10)
    const tag = tile.headers.get("etag")!
    assert.strictEqual((await ask("engineer", "GET", path, undefined, { "if-none-match": tag })).status, 304)
    assert.deepStrictEqual(pointers(await get(`/v1/networks/${networkId}/tiles/1/2/0.mvt`)), ["#params/x"])
  })

  it("draw_change_and_retire_an_asset_by_its_version", async () => {
    const end = await assetNamed("E2", "junction")
    const create = (body: object) => ask("engineer", "POST", "/v1/assets", { networkId: end.networkId, ...body })
    const hydrant = await create({
      kind: "hydrant",
      externalId: "HY-1",
      geometry: { type: "Point", coordinates: [69.2935, 41.3102] }
    })
    assert.strictEqual(hydrant.status, 201)
    const branch = await create({
      kind: "pipe",
      externalId: "HB-1",
      fromId: end.id,
      toId: hydrant.body.id,
      diameter: 80,
      installedOn: "2025-04-30"
    })
    assert.deepStrictEqual([branch.status, branch.body.geometry.type], [201, "LineString"])
    assert.closeTo(branch.body.length, 48, 10)
    assert.deepStrictEqual(
      pointers(await create({ kind: "pipe", externalId: "HB-1", fromId: end.id, toId: hydrant.body.id })),
      ["/externalId"]
    )
    assert.deepStrictEqual(pointers(await create({ kind: "pipe", externalId: "HB-2", fromId: end.id })), ["/toId"])
    assert.deepStrictEqual(pointers(await create({ kind: "pipe", externalId: "HB-2" })), ["/kind"])
    const down = (await get(`/v1/assets/${end.id}/downstream`)).body
    assert.include(down.assets, hydrant.body.id)
    const path = `/v1/assets/${branch.body.id}`
    const changed = await ask(
      "engineer",
      "PATCH",
      path,
      { material: "PE" },
      { "if-match": branch.headers.get("etag")! }
    )
    assert.deepStrictEqual([changed.status, changed.body.material, changed.headers.get("etag")], [200, "PE", '"2"'])
    assert.strictEqual((await ask("engineer", "PATCH", path, { material: "PVC" }, { "if-match": '"1"' })).status, 412)
    assert.strictEqual((await ask("engineer", "DELETE", `/v1/assets/${hydrant.body.id}`)).status, 422)
    assert.strictEqual((await ask("engineer", "DELETE", path)).status, 204)
    assert.strictEqual((await ask("engineer", "DELETE", `/v1/assets/${hydrant.body.id}`)).status, 204)
    assert.isString((await get(path)).body.retiredAt)
    assert.strictEqual((await get(`${path}/isolation`)).status, 422)
    assert.isUndefined(await assetNamed("HB-1", "pipe"))
  })

  it("leave_a_large_file_to_a_job", async () => {
    const large = `[JUNCTIONS]\n${Array.from({ length: 12_001 }, (_, node) => ` n${node} 10 0.1 Day ; a remark that makes the file longer`).join("\n")}
[PIPES]\n${Array.from({ length: 12_000 }, (_, pipe) => ` p${pipe} n${pipe} n${pipe + 1} 12.5 100 130 0 Open ;`).join("\n")}
[COORDINATES]\n${Array.from({ length: 12_001 }, (_, node) => ` n${node} ${(node % 110) * 12} ${Math.floor(node / 110) * 12}`).join("\n")}`
    const sent = await bring("network=large&longitude=69.4&latitude=41.4", large)
    assert.deepStrictEqual([sent.status, sent.body.state], [202, "waiting"])
    let seen = sent
    for (let turn = 0; turn < 300 && !["done", "failed"].includes(seen.body.state); turn++) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      seen = await get(`/v1/network-imports/${sent.body.id}`)
    }
    assert.deepInclude(seen.body, { state: "done", done: 24_001, total: 24_001, error: null })
    assert.strictEqual(seen.body.report.added, 24_001)
    const crowd = await get("/v1/assets.geojson?bbox=69,41,70,42")
    assert.deepStrictEqual([crowd.status, crowd.body.code], [422, "too-many"])
  })

  it("take_GeoJSON_too", async () => {
    const document = {
      type: "FeatureCollection",
      features: [
        {
          type: "Feature",
          id: "s",
          geometry: { type: "Point", coordinates: [69.5, 41.5] },
          properties: { kind: "reservoir" }
        },
        {
          type: "Feature",
          id: "a",
          geometry: {
            type: "LineString",
            coordinates: [
              [69.5, 41.5],
              [69.51, 41.5]
            ]
          },
          properties: { customers: 3 }
        }
      ]
    }
    const path = "/v1/network-imports?network=village&format=geojson"
    const sent = await ask("engineer", "POST", path, JSON.stringify(document), {
      "content-type": "application/geo+json"
    })
    assert.deepStrictEqual([sent.status, sent.body.report?.added], [201, 3])
    const text = await ask("engineer", "POST", path, JSON.stringify(document), { "content-type": "text/plain" })
    assert.deepStrictEqual([text.status, text.body.report?.unchanged], [201, 3])
    const near = await get("/v1/assets/nearest?longitude=69.505&latitude=41.5001&kind=pipe")
    assert.deepStrictEqual([near.body.asset.externalId, near.body.asset.customers], ["a", 3])
    assert.closeTo(near.body.metres, 11.1, 0.2)
  })
})
