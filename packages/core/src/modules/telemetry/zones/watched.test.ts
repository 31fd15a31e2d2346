import { describe, expect, it } from "vitest"
import { houses, places, readingsAt, sensors } from "../../../test/street.ts"
import type { Checked } from "../check.ts"
import { encodeLeakState } from "../leaks/codec.ts"
import type { LoadedZone } from "./load.ts"
import { count, type Watched, watchedOf } from "./watched.ts"

const zone: LoadedZone = {
  id: "zone",
  name: "Street",
  version: 1,
  group: { sensors, places, timeZone: "Asia/Tashkent" },
  streams: sensors.map((_, sensor) => ({ number: sensor, factor: 1 })),
  sensorsHash: Buffer.from("sensors"),
  placesHash: Buffer.from("places"),
  positionOf: () => undefined,
  middle: undefined
}

const minute = 60_000
/** An hour before a night's window in Tashkent. */
const start = Date.UTC(2026, 0, 1, 20)

const put = (watched: Watched, sensor: number, at: number, value: number, receivedAt = at) =>
  count(watched, sensor, { at, value } as Checked, receivedAt)

/** All sensors, every ten minutes. */
const minutes = (watched: Watched, from: number, until: number) => {
  let judged = 0
  for (let now = from; now <= until; now += 10)
    readingsAt(0, now, [], 1).forEach((value, sensor) => {
      if (put(watched, sensor, start + now * minute, value)) judged++
    })
  return judged
}

const fresh = () => watchedOf(zone, undefined, 0)

describe("a zone under watch", () => {
  it("judges_a_night_once_half_an_hour_after_its_window", () => {
    const watched = fresh()
    expect(minutes(watched, 0, 200)).toBe(0)
    expect(watched.turned).toBe(true)
    expect(minutes(watched, 210, 270)).toBe(1)
    expect(watched.judgedAt).toBe(start + 180 * minute)
    expect(watched.state.baseline.nights).toBe(1)
  })

  it("is_not_hurried_by_a_clock_that_is_ahead", () => {
    const [straight, hurried] = [fresh(), fresh()]
    minutes(straight, 0, 270)
    minutes(hurried, 0, 150)
    // Fifty minutes ahead: by its own word the night is over.
    const last = readingsAt(0, 160, [], 1)
    expect(put(hurried, houses, start + 210 * minute, last[houses]!, start + 160 * minute)).toBe(false)
    last.slice(0, houses).forEach((value, sensor) => put(hurried, sensor, start + 160 * minute, value))
    minutes(hurried, 170, 270)
    expect(encodeLeakState(hurried.state)).toEqual(encodeLeakState(straight.state))
  })

  it("counts_what_comes_late_until_the_night_is_judged_and_not_after", () => {
    const [straight, late] = [fresh(), fresh()]
    minutes(straight, 0, 270)
    // One sensor is an hour behind, and catches up in time.
    for (let now = 0; now <= 190; now += 10)
      readingsAt(0, now, [], 1).forEach((value, sensor) => {
        if (sensor !== 2) put(late, sensor, start + now * minute, value)
      })
    for (let now = 0; now <= 190; now += 10) put(late, 2, start + now * minute, readingsAt(0, now, [], 1)[2]!)
    minutes(late, 200, 270)
    expect(encodeLeakState(late.state)).toEqual(encodeLeakState(straight.state))
    put(late, 2, start + 100 * minute, 5, start + 280 * minute)
    expect(encodeLeakState(late.state)).toEqual(encodeLeakState(straight.state))
  })

  it("goes_on_from_what_was_written_and_hears_once_that_leaks_were_accepted", () => {
    const watched = fresh()
    minutes(watched, 0, 270)
    const stored = {
      zoneId: zone.id,
      sensors: zone.sensorsHash,
      places: zone.placesHash,
      accepted: 3,
      state: encodeLeakState(watched.state),
      judgedAt: new Date(watched.judgedAt!)
    }
    const again = watchedOf(zone, stored, 3)
    expect([again.state.baseline.nights, again.turned, again.judgedAt]).toEqual([1, false, watched.judgedAt])
    const accepted = watchedOf(zone, stored, 4)
    expect([accepted.accepted, accepted.turned]).toEqual([4, true])
    // Of other sensors, or of another time zone: from the beginning.
    const other = watchedOf({ ...zone, sensorsHash: Buffer.from("others") }, stored, 3)
    expect([other.state.baseline.nights, other.turned, other.judgedAt]).toEqual([0, true, undefined])
  })
})
