import { VectorTile } from "@mapbox/vector-tile"
import { PbfReader } from "pbf"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe, inject, it } from "vitest"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { createAsset } from "./assets.ts"
import { network } from "./index.ts"
import { lockNetwork } from "./networks.ts"
import { boundsOf, encodeTile, loadTile, type TileAddress } from "./tiles.ts"

type Rows = Parameters<typeof encodeTile>[0]
const pipe: Rows[number] = {
  ...{ id: "01", shape: "line", kind: "pipe", externalId: "P1", status: "closed", diameter: 150, material: "PE" },
  ...{
    longitude: null,
    latitude: null,
    coordinates: [
      [69.28, 41.31],
      [69.2815, 41.3105],
      [69.283, 41.31]
    ]
  }
}
const tank: Rows[number] = {
  ...{ id: "02", shape: "point", kind: "tank", externalId: "T1", status: "open", diameter: null, material: null },
  ...{ longitude: 69.2805, latitude: 41.3102, coordinates: null }
}
/** The tile with a place in it. */
const around = (longitude: number, latitude: number, z: number): TileAddress => {
  const radians = (latitude * Math.PI) / 180
  return {
    z,
    x: Math.floor(((longitude + 180) / 360) * 2 ** z),
    y: Math.floor(((1 - Math.asinh(Math.tan(radians)) / Math.PI) / 2) * 2 ** z)
  }
}

describe("a tile", () => {
  it("is_read_by_another_library_with_the_places_that_were_put_in", () => {
    const address = around(69.28, 41.31, 15)
    const tile = new VectorTile(new PbfReader(encodeTile([pipe, tank], address)))
    assert.deepStrictEqual(
      Object.keys(tile.layers).toSorted((a, b) => (a < b ? -1 : 1)),
      ["lines", "points"]
    )
    const [lines, points] = [tile.layers["lines"]!, tile.layers["points"]!]
    assert.deepStrictEqual([lines.version, lines.extent, lines.length], [2, 4096, 1])
    const line = lines.feature(0)
    assert.deepStrictEqual(line.properties, {
      ...{ id: "01", kind: "pipe", externalId: "P1", status: "closed", diameter: 150, material: "PE" }
    })
    const point = points.feature(0)
    assert.deepStrictEqual(point.properties, { id: "02", kind: "tank", externalId: "T1", status: "open" })
    const { geometry } = point.toGeoJSON(address.x, address.y, address.z)
    assert.strictEqual(geometry.type, "Point")
    const [longitude, latitude] = (geometry as { coordinates: ReadonlyArray<number> }).coordinates
    // A unit of this tile is a quarter of a metre.
    assert.closeTo(longitude!, 69.2805, 5e-6)
    assert.closeTo(latitude!, 41.3102, 5e-6)
  })

  it("is_empty_where_nothing_lies_and_holds_no_more_than_its_margin_of_a_line_that_leaves_it", () => {
    const away = around(70, 41, 15)
    assert.lengthOf(encodeTile([pipe, tank], away), 0)
    const near = around(69.28, 41.31, 18)
    const line = new VectorTile(new PbfReader(encodeTile([pipe], near))).layers["lines"]!.feature(0)
    for (const part of line.loadGeometry())
      for (const { x, y } of part) assert.isTrue(x >= -64 && x <= 4160 && y >= -64 && y <= 4160)
  })

  it("asks_for_what_lies_in_it_and_a_little_more", () => {
    const box = boundsOf({ z: 1, x: 1, y: 0 })
    assert.closeTo(box.west, -2.8125, 1e-9)
    assert.strictEqual(box.east, 180)
    assert.closeTo(box.south, -2.811, 0.001)
    assert.isAbove(box.north, 85.05)
  })
})

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: network().migrations }), {
  excludeTestServices: true
})("a crowded tile", (it) => {
  it.effect("shows_the_pipes_among_all_the_points_and_the_sources_first", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const seen = yield* Effect.provideService(
        withTenant(tenantId)(
          Effect.gen(function* () {
            const { sql } = yield* TenantTx
            const { id: networkId } = yield* lockNetwork("water", new Date())
            const facts = {
              status: "open",
              ...{ networkId, operable: true, directed: false, length: null, diameter: 100 },
              ...{ material: null, installedOn: null, customers: 0, demand: 0, properties: {} }
            } as const
            const at = (longitude: number, kind: "hydrant" | "reservoir", externalId: string) =>
              createAsset({ ...facts, diameter: null, kind, externalId, positions: [[longitude, 41.31]] })
            const hydrant = yield* at(69.28, "hydrant", "H")
            const end = yield* at(69.281, "reservoir", "R")
            yield* createAsset({
              ...{ ...facts, kind: "pipe", externalId: "P", fromId: hydrant.id, toId: end.id, positions: [] }
            })
            yield* sql`
              insert into mahalla.asset (tenant_id, id, network_id, shape, kind, external_id, longitude, latitude, west, south, east, north, h3,
                reach, created_at, changed_at)
              select tenant_id, gen_random_uuid(), network_id, shape, kind, 'H' || number, longitude, latitude, west, south, east, north, h3,
                reach, created_at, changed_at
              from mahalla.asset, generate_series(1, 5001) number where id = ${hydrant.id}`
            return yield* loadTile(networkId, around(69.28, 41.31, 15))
          })
        ),
        Actor,
        system(tenantId)
      )
      const names = seen.map(({ externalId }) => externalId)
      assert.include(names, "P")
      assert.include(names, "R")
      assert.lengthOf(names, 5001)
    })
  )
})
