import fc from "fast-check"
import { gridDisk } from "h3-js"
import { assert, describe, it } from "vitest"
import { type BoundingBox, boxAround, cellOf, type CellRange, coveringRanges, distanceBetween } from "./geo.ts"
import type { Place } from "./model.ts"

const among = (ranges: ReadonlyArray<CellRange>, place: Place) =>
  ranges.some(([from, to]) => from <= cellOf(place) && cellOf(place) <= to)
const inside = (box: BoundingBox, place: Place) => among(coveringRanges(box), place)

const longitude = fc.double({ min: -180, max: 180, noNaN: true })
const latitude = fc.double({ min: -90, max: 90, noNaN: true })
const share = fc.double({ min: 0, max: 1, noNaN: true })
/** Boxes from a yard to a continent, anywhere. */
const boxes = fc
  .record({
    west: longitude,
    south: latitude,
    width: fc.integer({ min: -50, max: 22 }),
    height: fc.integer({ min: -50, max: 22 })
  })
  .map(({ height, south, west, width }): BoundingBox => {
    const east = west + Math.min(359, 10 ** (width / 10))
    return { west, south, east: east > 180 ? east - 360 : east, north: Math.min(90, south + 10 ** (height / 10)) }
  })
const pick = (box: BoundingBox, x: number, y: number): Place => {
  const width = box.west <= box.east ? box.east - box.west : box.east - box.west + 360
  const at = box.west + width * x
  return { longitude: at > 180 ? at - 360 : at, latitude: box.south + (box.north - box.south) * y }
}

describe("cellOf", () => {
  it("is_the_stored_number_of_resolution_9", () => {
    // The example of H3's own documentation.
    assert.strictEqual(cellOf({ longitude: -122.388903, latitude: 37.769377 }).toString(16), "89283082e73ffff")
  })
})

describe("coveringRanges", () => {
  it("holds_every_place_of_the_box", () => {
    fc.assert(
      fc.property(boxes, fc.array(fc.tuple(share, share), { minLength: 20, maxLength: 20 }), (box, points) => {
        const ranges = coveringRanges(box)
        for (const [x, y] of points) assert.isTrue(among(ranges, pick(box, x, y)))
      }),
      { numRuns: 300 }
    )
  })

  it("is_at_most_64_ranges_in_order_and_apart", () => {
    fc.assert(
      fc.property(boxes, (box) => {
        const ranges = coveringRanges(box)
        assert.isAtMost(ranges.length, 64)
        for (const [place, [from, to]] of ranges.entries()) {
          assert.isTrue(from <= to)
          if (place > 0) assert.isTrue(ranges[place - 1]![1] < from)
        }
      }),
      { numRuns: 300 }
    )
  })

  it("crosses_the_antimeridian", () => {
    const fiji: BoundingBox = { west: 177, south: -19, east: -178, north: -16 }
    for (const at of [177.1, 179.999, 180, -180, -179.999, -178.1])
      assert.isTrue(inside(fiji, { longitude: at, latitude: -17 }))
    assert.isFalse(inside(fiji, { longitude: 0, latitude: -17 }))
    assert.isFalse(inside(fiji, { longitude: 160, latitude: -17 }))
  })

  it("leaves_most_of_the_world_out", () => {
    const tashkent: BoundingBox = { west: 69.1, south: 41.2, east: 69.4, north: 41.4 }
    assert.isFalse(inside(tashkent, { longitude: 69.9, latitude: 41.3 }))
    assert.isFalse(inside(tashkent, { longitude: 69.25, latitude: 41.7 }))
    const yard: BoundingBox = { west: 69.28, south: 41.31, east: 69.2801, north: 41.3101 }
    assert.isFalse(inside(yard, { longitude: 69.29, latitude: 41.31 }))
  })

  it("is_everything_for_the_whole_world_and_nothing_for_a_box_upside_down", () => {
    assert.lengthOf(coveringRanges({ west: -180, south: -90, east: 180, north: 90 }), 1)
    assert.lengthOf(coveringRanges({ west: 0, south: 10, east: 1, north: 9 }), 0)
  })
})

describe("boxAround", () => {
  it("holds_all_that_is_near", () => {
    fc.assert(
      fc.property(
        longitude,
        latitude,
        fc.double({ min: 1, max: 20_000, noNaN: true }),
        share,
        share,
        (lon, lat, metres, x, y) => {
          const place = { longitude: lon, latitude: lat }
          const box = boxAround(place, metres)
          // Somewhere near, by a step in degrees that may or may not stay within the distance.
          const spread = (metres / 111_195) * 1.2
          const candidate = {
            longitude:
              ((((lon + ((2 * x - 1) * spread) / Math.max(0.01, Math.cos((lat * Math.PI) / 180)) + 540) % 360) + 360) %
                360) -
              180,
            latitude: Math.max(-90, Math.min(90, lat + (2 * y - 1) * spread))
          }
          fc.pre(distanceBetween(place, candidate) <= metres)
          assert.isTrue(candidate.latitude >= box.south && candidate.latitude <= box.north)
          assert.isTrue(
            box.west <= box.east
              ? candidate.longitude >= box.west && candidate.longitude <= box.east
              : candidate.longitude >= box.west || candidate.longitude <= box.east
          )
        }
      ),
      { numRuns: 500 }
    )
  })

  it("of_a_street_corner_is_a_handful_of_cells", () => {
    const corner = { longitude: 69.2797, latitude: 41.3111 }
    const ranges = coveringRanges(boxAround(corner, 50))
    const cells = gridDisk(cellOf(corner).toString(16), 1).map((cell) => BigInt(`0x${cell}`))
    assert.isAtMost(ranges.length, 19)
    for (const cell of cells) assert.isTrue(ranges.some(([from, to]) => from <= cell && cell <= to))
  })
})
