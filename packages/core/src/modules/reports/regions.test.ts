import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { momentsFor } from "./moments.ts"
import { frameRegions, sortOut, movingRegions, type Seen, stillRegions } from "./regions.ts"

const box = (x: number, y: number) => ({ x, y, width: 100, height: 20 })
const plate = (text: string | null, at: number | null = null, place = box(0, 0)): Seen => ({
  kind: "plate",
  at,
  box: place,
  text
})
const face = (at: number | null = null): Seen => ({ kind: "face", at, box: box(500, 500), text: null })

describe("what copies hide", () => {
  const table: ReadonlyArray<readonly [string, ReadonlyArray<Seen>, ReadonlyArray<string>, ReadonlyArray<boolean>]> = [
    ["nothing of the report's own plate", [plate("01A777AA")], ["01A777AA"], [false]],
    ["another plate", [plate("01A777AA"), plate("10B123CC")], ["01A777AA"], [false, true]],
    ["every plate where the report is about none", [plate("01A777AA"), plate(null)], [], [true, true]],
    ["a plate that could not be read", [plate(null)], ["01A777AA"], [true]],
    ["O and 0, I and 1 are one", [plate("O1A777AA")], ["01A777AA"], [false]],
    ["not the own plate read worse", [plate("01A?77?A"), plate("01A778AA")], ["01A777AA"], [false, false]],
    ["a plate two characters away", [plate("01A788AA")], ["01A777AA"], [true]],
    ["a plate of which too little is known", [plate("???77???")], ["01A777AA"], [true]],
    ["a plate of another length", [plate("01A777A")], ["01A777AA"], [true]],
    ["not an unread finding on the own plate", [plate("01A777AA"), plate(null)], ["01A777AA"], [false, false]],
    ["an unread finding beside it", [plate("01A777AA"), plate(null, null, box(300, 0))], ["01A777AA"], [false, true]],
    ["one on it at another moment", [plate("01A777AA", 1), plate(null, 2)], ["01A777AA"], [false, true]],
    ["faces, whatever the report is about", [face(), plate("01A777AA")], ["01A777AA"], [true, false]],
    ["nothing of other kinds", [{ ...face(), kind: "vehicle" }], [], [false]]
  ]
  test.each(table)("%s", (_, findings, about, expected) => {
    const { hidden } = sortOut(findings, about)
    expect(findings.map((one) => hidden.includes(one))).toEqual(expected)
  })
})

const hiding = (...hidden: ReadonlyArray<Seen>) => ({ hidden, shown: [] })

describe("regions", () => {
  const inside = (region: { readonly box: Seen["box"] }, x: number, y: number) =>
    x > region.box.x && x < region.box.x + region.box.width && y > region.box.y && y < region.box.y + region.box.height

  test("of_a_supposed_face_leave_the_plate_of_the_report_free", () => {
    const large: Seen = { ...face(1), box: { x: 0, y: 0, width: 400, height: 400 } }
    const own = plate("01A777AA", 1, box(150, 300))
    const sorted = sortOut([large, own], ["01A777AA"])
    for (const regions of [stillRegions(sorted), frameRegions(sorted), movingRegions(sorted, [0, 1, 2])]) {
      expect(regions.some((region) => inside(region, 200, 310))).toBe(false)
      for (const [x, y] of [
        [200, 100],
        [50, 310],
        [350, 310],
        [200, 380]
      ] as const)
        expect(regions.some((region) => inside(region, x, y))).toBe(true)
    }
  })

  test("of_a_foreign_plate_are_hidden_whole_even_where_the_reports_own_plate_was_a_moment_ago", () => {
    const sorted = sortOut([plate("10B123CC", 2), plate("01A777AA", 1)], ["01A777AA"])
    const regions = movingRegions(sorted, [0, 1, 2, 3])
    expect(regions).toHaveLength(1)
    expect(regions.some((region) => inside(region, 50, 10))).toBe(true)
  })

  test("are_larger_than_what_was_seen_and_larger_still_where_it_moves", () => {
    const [still] = stillRegions(hiding(plate(null)))
    const [moving] = movingRegions(hiding(plate(null, 1)), [0, 1, 2])
    expect(still!.box).toEqual({ x: -15, y: -3, width: 130, height: 26 })
    expect(moving!.box).toEqual({ x: -35, y: -7, width: 170, height: 34 })
  })

  test("last_from_the_moment_before_to_the_moment_after", () => {
    const times = (at: number) => movingRegions(hiding(plate(null, at)), [0, 1, 2]).map(({ from, to }) => [from, to])
    expect([times(0), times(1), times(2)]).toEqual([[[undefined, 1]], [[0, 2]], [[1, undefined]]])
  })

  test("of_frames_touch_no_other_moment", () => {
    const [region] = frameRegions(hiding(plate(null, 1.5)))
    expect(region!.from).toBeGreaterThan(1.49)
    expect(region!.to).toBeLessThan(1.51)
  })

  test("leave_no_second_of_a_film_uncovered_for_what_is_seen_at_every_moment", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.2, max: 600, noNaN: true }),
        fc.option(fc.double({ min: 0, max: 600, noNaN: true }), { nil: undefined }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (duration, named, part) => {
          const moments = momentsFor(duration, named)
          const second = part * duration
          const regions = movingRegions(hiding(...moments.map((at) => face(at))), moments)
          expect(regions.some(({ from, to }) => (from ?? 0) <= second && second <= (to ?? Infinity))).toBe(true)
        }
      )
    )
  })
})
