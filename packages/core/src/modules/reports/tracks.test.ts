import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { maxBlurRegions } from "../../ports/Encoder.ts"
import { momentsFor } from "./moments.ts"
import { atMost, movingRegions, type Seen } from "./regions.ts"
import { type Sighting, tracksOf, waysOf } from "./tracks.ts"

const seen = (at: number, x: number, more: Partial<Sighting> = {}): Sighting => ({
  ...{ kind: "plate", at, text: null },
  box: { x, y: 300, width: 150, height: 30 },
  ...more
})
const moments = [0, 1, 2, 3, 4, 5]

describe("sightings are one thing", () => {
  const table: ReadonlyArray<readonly [string, ReadonlyArray<Sighting>, ReadonlyArray<number>]> = [
    ["when each is near the one before", [seen(0, 0), seen(1, 100), seen(2, 200)], [3]],
    ["also past a moment at which it was overlooked", [seen(0, 0), seen(2, 100)], [2]],
    ["not past two", [seen(0, 0), seen(3, 100)], [1, 1]],
    ["not when it is too far away", [seen(0, 0), seen(1, 900)], [1, 1]],
    ["not when it is of another kind", [seen(0, 0), seen(1, 0, { kind: "face" })], [1, 1]],
    ["not when it is of another size", [seen(0, 0), seen(1, 0, { box: box(0, 300, 50, 10) })], [1, 1]],
    ["never two of one moment", [seen(0, 0), seen(0, 50)], [1, 1]],
    ["the nearer one first", [seen(0, 0), seen(0, 400), seen(1, 50), seen(1, 450)], [2, 2]],
    [
      "a bit farther when they read the same",
      [seen(0, 0, { text: "A" }), seen(1, 80), seen(1, 200, { text: "A" })],
      [2, 1]
    ]
  ]
  test.each(table)("%s", (_, sightings, lengths) => {
    expect(tracksOf(sightings, moments).map((track) => track.length)).toEqual(lengths)
  })
})

function box(x: number, y: number, width = 150, height = 30) {
  return { x, y, width, height }
}

describe("the way between sightings", () => {
  test("of_what_stays_needs_no_regions_of_its_own", () => {
    expect(waysOf([seen(0, 100), seen(1, 110), seen(2, 95)], moments)).toEqual([])
  })

  test("goes_straight_on_before_the_first_and_after_the_last", () => {
    const ways = waysOf([seen(2, 400), seen(3, 800)], moments)
    expect(Math.min(...ways.map(({ from }) => from))).toBe(1)
    expect(Math.max(...ways.map(({ to }) => to))).toBe(4)
    expect(Math.min(...ways.map(({ box: { x } }) => x))).toBeLessThan(0)
  })

  test("is_hidden_while_the_thing_passes_and_not_all_the_time", () => {
    const ways = waysOf([seen(2, 0), seen(3, 600)], [2, 3])
    expect(ways.length).toBeGreaterThan(2)
    for (const { box: place } of ways) expect(place.width).toBeLessThan(600)
  })
})

/** Everything of the box is hidden at that second. */
const isHidden = (regions: ReturnType<typeof movingRegions>, second: number, whole: Seen["box"]) => {
  const now = regions.filter(({ from, to }) => (from ?? 0) <= second && second <= (to ?? Infinity))
  return [0.05, 0.25, 0.5, 0.75, 0.95].every((part) =>
    [0.05, 0.5, 0.95].every((height) => {
      const [x, y] = [whole.x + whole.width * part, whole.y + whole.height * height]
      return now.some(
        ({ box: { height: down, width, x: left, y: top } }) =>
          x >= left && x <= left + width && y >= top && y <= top + down
      )
    })
  )
}

test("what_crosses_the_picture_is_hidden_at_every_second_between_its_first_moment_and_its_last", () => {
  const duration = fc.double({ min: 3, max: 40, noNaN: true })
  const speed = fc.double({ min: -300, max: 300, noNaN: true })
  fc.assert(
    fc.property(duration, speed, fc.double({ min: -40, max: 40, noNaN: true }), (length, across, down) => {
      const at = momentsFor(length, undefined)
      const placeAt = (second: number) => box(across * second, 300 + down * second)
      const hidden = at.map((second) => seen(second, 0, { box: placeAt(second) }))
      const regions = movingRegions({ hidden, shown: [] }, at)
      for (let second = 0; second <= at.at(-1)!; second += 0.05)
        expect(isHidden(regions, second, placeAt(second))).toBe(true)
    })
  )
})

test("what_was_overlooked_at_one_moment_is_hidden_then_too", () => {
  const placeAt = (second: number) => box(200 * second, 300)
  const hidden = [0, 1, 3, 4].map((second) => seen(second, 0, { box: placeAt(second) }))
  const regions = movingRegions({ hidden, shown: [] }, moments)
  for (let second = 0; second <= 5; second += 0.1) expect(isHidden(regions, second, placeAt(second))).toBe(true)
})

test("what_stays_is_one_region_for_the_whole_film", () => {
  const hidden = moments.map((at) => seen(at, 100 + (at % 2)))
  expect(movingRegions({ hidden, shown: [] }, moments)).toHaveLength(1)
})

test("what_was_seen_at_no_known_moment_is_hidden_in_the_whole_film", () => {
  const [region, ...others] = movingRegions({ hidden: [{ ...seen(0, 0), at: null }], shown: [] }, moments)
  expect(others).toHaveLength(0)
  expect([region!.from, region!.to]).toEqual([undefined, undefined])
})

test("more_than_an_encoder_takes_become_fewer_that_hide_the_same", () => {
  const regions = Array.from({ length: 3 * maxBlurRegions + 7 }, (_, index) => ({
    box: box((index * 37) % 1900, (index * 91) % 1000, 20, 20),
    from: index % 24,
    to: (index % 24) + 2
  }))
  const fewer = atMost(regions)
  expect(fewer.length).toBeLessThanOrEqual(maxBlurRegions)
  for (const { box: place, from, to } of regions)
    for (const second of [from, to]) expect(isHidden(fewer, second, place)).toBe(true)
})
