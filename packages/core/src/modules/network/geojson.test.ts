import { assert, describe, it } from "vitest"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { readGeoJson } from "./geojson.ts"

const feature = (id: string | number | undefined, geometry: object, properties: object = {}) => ({
  type: "Feature",
  ...(id === undefined ? {} : { id }),
  geometry,
  properties
})
const point = (id: string, longitude: number, latitude: number, properties = {}) =>
  feature(id, { type: "Point", coordinates: [longitude, latitude] }, properties)
const line = (id: string, coordinates: ReadonlyArray<ReadonlyArray<number>>, properties = {}) =>
  feature(id, { type: "LineString", coordinates }, properties)
const collection = (...features: ReadonlyArray<object>) => ({ type: "FeatureCollection", features })

const read = (document: unknown, tolerance = 1) => {
  const file = readGeoJson(document, tolerance)
  if (file instanceof InvalidInput) assert.fail(file.message)
  return file
}
const pointers = (document: unknown, tolerance = 1) => {
  const file = readGeoJson(document, tolerance)
  return file instanceof InvalidInput ? file.issues.map(({ pointer }) => pointer) : []
}

describe("a GeoJSON network", () => {
  it("joins_lines_to_the_points_near_their_ends_and_makes_the_missing_ones", () => {
    // 0.000004 degrees are less than half a metre.
    const { lines, points, warnings } = read(
      collection(
        point("R", 69, 41, { kind: "reservoir" }),
        line("a", [
          [69.000004, 41.000004],
          [69.001, 41.0005],
          [69.002, 41]
        ]),
        line(
          "b",
          [
            [69.002, 41.000003],
            [69.003, 41]
          ],
          { kind: "valve", diameter: 100, colour: "blue" }
        )
      )
    )
    assert.deepStrictEqual(
      lines.map(({ from, to }) => [from, to]),
      [
        ["R", "@69.0020000,41.0000000"],
        ["@69.0020000,41.0000000", "@69.0030000,41.0000000"]
      ]
    )
    assert.strictEqual(points.length, 3)
    assert.deepStrictEqual(lines[0]!.vertices, [[69.001, 41.0005]])
    assert.closeTo(lines[0]!.length!, 201, 2)
    assert.deepStrictEqual(
      [lines[1]!.kind, lines[1]!.diameter, lines[1]!.properties],
      ["valve", 100, { colour: "blue" }]
    )
    assert.match(warnings[0]!, /^2 junctions were made/)
  })

  it("joins_by_name_where_names_are_given", () => {
    const { lines } = read(
      collection(
        point("1", 69, 41),
        point("2", 69.5, 41),
        feature(
          7,
          {
            type: "MultiLineString",
            coordinates: [
              [
                [69, 41],
                [69.1, 41]
              ]
            ]
          },
          { from: 1, to: "2" }
        )
      )
    )
    assert.deepStrictEqual([lines[0]!.externalId, lines[0]!.from, lines[0]!.to], ["7", "1", "2"])
  })

  it("turns_lines_round_that_are_drawn_from_their_second_end_to_their_first", () => {
    const bend = [
      [69.002, 41],
      [69.0015, 41.001],
      [69.0005, 41.002],
      [69, 41]
    ]
    const ends = [point("R", 69, 41), point("T", 69.002, 41)]
    for (const named of [{ from: "R", to: "T" }, { from: "R" }, { to: "T" }]) {
      const file = read(collection(...ends, line("a", bend, named)))
      const [one] = file.lines
      assert.deepStrictEqual(
        [one!.from, one!.to, one!.vertices],
        [
          "R",
          "T",
          [
            [69.0005, 41.002],
            [69.0015, 41.001]
          ]
        ]
      )
      assert.deepStrictEqual(file.warnings, [])
    }
    // A degree of latitude is 111 km.
    const far = read(collection(...ends, line("a", [...bend.slice(0, 3), [69, 41.0001]], { from: "R", to: "T" })))
    assert.deepStrictEqual(far.warnings, ["a is drawn 11 m from R, where it ends."])
    assert.deepStrictEqual(far.lines[0]!.vertices.length, 2)
  })

  it.each([
    [{}, [""]],
    [collection(), ["/features"]],
    [collection({ type: "Point" }), ["/features/0"]],
    [collection(feature(undefined, { type: "Point", coordinates: [1, 2] })), ["/features/0/id"]],
    [collection(point("a", 181, 0)), ["/features/0/geometry/coordinates"]],
    [collection(point("a", 1, 0), point("a", 2, 0)), ["/features/1/id"]],
    [collection(point("a", 1, 0, { kind: "pipe" })), ["/features/0/properties/kind"]],
    [
      collection(point("a", 1, 0, { diameter: "wide", status: "ajar" })),
      ["/features/0/properties/status", "/features/0/properties/diameter"]
    ],
    [collection(point("a", 1, 0, { demand: 1e300 })), ["/features/0/properties/demand"]],
    [collection(point("a", 1, 0, { installedOn: "2025-02-31" })), ["/features/0/properties/installedOn"]],
    [collection(line("a", [[1, 0]])), ["/features/0/geometry/coordinates"]],
    [collection(feature("a", { type: "Polygon", coordinates: [] })), ["/features/0/geometry"]],
    [
      collection(
        line("a", [
          [1, 0],
          [1, 0.000001]
        ])
      ),
      ["/features/0/geometry"]
    ],
    [
      collection(
        point("p", 0, 0),
        line(
          "a",
          [
            [1, 0],
            [2, 0]
          ],
          { to: "q" }
        )
      ),
      ["/features/1/properties/to"]
    ]
  ])("is_refused_with_a_pointer_to_the_mistake: %j", (document, expected) =>
    assert.deepStrictEqual(pointers(document), expected)
  )
})
