import * as Schema from "effect/Schema"
import { assert, describe, it } from "vitest"
import { type Boundary, Boundary as BoundarySchema, boundsOf, contains } from "./boundary.ts"

const square = (west: number, south: number, size: number) => [
  [west, south],
  [west + size, south],
  [west + size, south + size],
  [west, south + size],
  [west, south]
]
const at = (longitude: number, latitude: number) => ({ longitude, latitude })
const ringed: Boundary = { type: "Polygon", coordinates: [square(0, 0, 10), square(4, 4, 2)] }
const islands: Boundary = {
  type: "MultiPolygon",
  coordinates: [[square(179, 0, 1)], [square(-180, 0, 1)], [square(50, 50, 10), square(52, 52, 6)]]
}

describe("boundary", () => {
  it("contains_what_is_inside_and_not_what_is_in_a_hole", () => {
    assert.isTrue(contains(ringed, at(1, 1)))
    assert.isFalse(contains(ringed, at(5, 5)))
    assert.isFalse(contains(ringed, at(11, 5)))
    assert.isTrue(contains(islands, at(179.5, 0.5)))
    assert.isTrue(contains(islands, at(-179.5, 0.5)))
    assert.isFalse(contains(islands, at(55, 55)))
    assert.isFalse(contains(islands, at(0, 0)))
  })

  it("contains_its_edges", () => {
    for (const place of [at(0, 5), at(10, 10), at(4, 5)]) assert.isTrue(contains(ringed, place))
  })

  it("knows_its_bounds", () => {
    assert.deepStrictEqual(boundsOf(ringed), { west: 0, south: 0, east: 10, north: 10 })
    assert.deepStrictEqual(boundsOf(islands), { west: -180, south: 0, east: 180, north: 60 })
  })

  const bad: ReadonlyArray<readonly [string, unknown]> = [
    ["an open ring", { type: "Polygon", coordinates: [square(0, 0, 1).slice(0, 4)] }],
    [
      "three positions",
      {
        type: "Polygon",
        coordinates: [
          [
            [0, 0],
            [1, 0],
            [0, 0]
          ]
        ]
      }
    ],
    ["a latitude of 91", { type: "Polygon", coordinates: [square(0, 90, 1)] }],
    ["a point", { type: "Point", coordinates: [0, 0] }],
    ["no ring", { type: "Polygon", coordinates: [] }]
  ]
  for (const [name, value] of bad) {
    it(`refuses_${name.replaceAll(" ", "_")}`, () =>
      assert.throws(() => Schema.decodeUnknownSync(BoundarySchema)(value)))
  }
})
