import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { onCall, type Override, type Rotation, type Shift } from "./rota.ts"

const day = (date: string) => Date.parse(`${date}T00:00:00Z`) / 86_400_000
/** Three who hand over on Mondays at 08:00, since 2026-11-16. */
const weekly: Rotation = { layer: 0, members: ["a", "b", "c"], begins: day("2026-11-16"), handover: 480, weeks: 1 }
const called = (
  moment: string,
  rotation: Partial<Rotation> = {},
  timeZone = "Asia/Tashkent",
  more: { readonly overrides?: ReadonlyArray<Override>; readonly shifts?: ReadonlyArray<Shift> } = {}
) =>
  onCall(
    { shifts: [], overrides: [], ...more, rotations: [{ ...weekly, ...rotation }] },
    Date.parse(moment),
    timeZone
  ).join(" ")

describe("a rotation", () => {
  it.each([
    ["2026-11-16T07:59", ""],
    ["2026-11-16T08:00", "a"],
    ["2026-11-22T23:59", "a"],
    ["2026-11-23T07:59", "a"],
    ["2026-11-23T08:00", "b"],
    ["2026-11-30T08:00", "c"],
    ["2026-12-07T08:00", "a"],
    ["2027-11-15T08:00", "b"]
  ])("at_%s_calls_%s", (local, who) => {
    expect(called(`${local}+05:00`)).toBe(who)
  })

  it("of_two_weeks_hands_over_every_other_week", () => {
    const weeks = ["16", "23", "30"].map((date) => called(`2026-11-${date}T09:00+05:00`, { weeks: 2 }))
    expect(weeks).toEqual(["a", "a", "b"])
  })

  it.each([
    // Berlin leaves summer time on Sunday 2026-10-25 at 03:00, and begins it on 2027-03-28 at 02:00: eight o'clock stays eight o'clock.
    ["2026-10-19T05:59:00Z", "c"],
    ["2026-10-19T06:00:00Z", "a"],
    ["2026-10-26T06:59:00Z", "a"],
    ["2026-10-26T07:00:00Z", "b"],
    ["2027-03-22T07:00:00Z", "b"],
    ["2027-03-29T05:59:00Z", "b"],
    ["2027-03-29T06:00:00Z", "c"]
  ])("hands_over_by_the_citys_clocks_when_they_change_at_%s_to_%s", (moment, who) => {
    expect(called(moment, { begins: day("2026-09-28") }, "Europe/Berlin")).toBe(who)
  })

  it("hands_over_once_in_an_hour_that_comes_twice_and_in_one_that_does_not_come", () => {
    const sundays = { begins: day("2026-10-18"), handover: 150 }
    const at = (moment: string) => called(moment, sundays, "Europe/Berlin")
    // 02:30 comes at 00:30 and at 01:30 UTC.
    expect(["00:29", "00:30", "01:05", "01:30"].map((time) => at(`2026-10-25T${time}:00Z`))).toEqual([
      "a",
      "b",
      "b",
      "b"
    ])
    const march = { begins: day("2027-03-21"), handover: 150 }
    // 02:30 does not come; it would have been half an hour after 01:00 UTC.
    expect(["00:59", "01:29", "01:30"].map((time) => called(`2027-03-28T${time}:00Z`, march, "Europe/Berlin"))).toEqual(
      ["a", "a", "b"]
    )
  })

  it("gives_the_turns_of_somebody_who_is_gone_to_the_next_and_leaves_the_others_their_weeks", () => {
    const weeks = ["2026-11-17", "2026-11-24", "2026-12-01", "2026-12-08"]
    const turns = (members: Rotation["members"]) => weeks.map((date) => called(`${date}T12:00+05:00`, { members }))
    expect(turns(["a", null, "c"])).toEqual(["a", "c", "c", "a"])
    expect(turns(["a", "b", null])).toEqual(["a", "b", "a", "a"])
    expect(turns([null])).toEqual(["", "", "", ""])
  })

  it("stands_behind_overrides_and_the_layers_above_it", () => {
    const noon = "2026-11-17T12:00+05:00"
    const from = Date.parse(noon)
    const overrides = [{ from, until: from + 3_600_000, principalId: "friend" }]
    expect(called(noon, {}, "Asia/Tashkent", { overrides })).toBe("friend")
    expect(called("2026-11-17T13:00+05:00", {}, "Asia/Tashkent", { overrides })).toBe("a")
    const office = [{ layer: 0, days: [1, 2, 3, 4, 5], from: 540, to: 1080, principalId: "day" }]
    expect(called(noon, { layer: 1 }, "Asia/Tashkent", { shifts: office })).toBe("day")
    expect(called("2026-11-17T18:00+05:00", { layer: 1 }, "Asia/Tashkent", { shifts: office })).toBe("a")
  })

  const anyRotation = fc.record({
    layer: fc.constant(0),
    members: fc.integer({ min: 1, max: 6 }).map((count) => Array.from({ length: count }, (_, place) => `m${place}`)),
    begins: fc.integer({ min: day("2024-01-01"), max: day("2025-12-31") }),
    handover: fc.nat(1439),
    weeks: fc.integer({ min: 1, max: 5 })
  })
  const zone = fc.constantFrom(
    "Asia/Tashkent",
    "Europe/Berlin",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Beirut"
  )

  it("goes_on_to_the_next_member_and_never_back_and_each_turn_lasts_its_weeks", () => {
    fc.assert(
      fc.property(anyRotation, zone, (rotation, timeZone) => {
        const hour = 3_600_000
        // Sixteen weeks over a change of the clocks, looked at each hour.
        const from = (rotation.begins + 2) * 86_400_000
        const who = Array.from({ length: 16 * 7 * 24 }, (_, count) =>
          onCall({ shifts: [], overrides: [], rotations: [rotation] }, from + count * hour, timeZone).join(" ")
        )
        const order = rotation.members
        const changes = who.flatMap((name, place) => (place > 0 && name !== who[place - 1] ? [place] : []))
        expect(who[0]).toBe(order[0])
        for (const place of changes) expect(who[place]).toBe(order[(order.indexOf(who[place - 1]!) + 1) % order.length])
        changes.slice(1).forEach((place, nth) => {
          const hours = place - changes[nth]!
          expect(Math.abs(hours - rotation.weeks * 168)).toBeLessThanOrEqual(2)
        })
        expect(changes.length).toBe(order.length === 1 ? 0 : Math.floor(16 / rotation.weeks))
      }),
      { numRuns: 10 }
    )
  })
})
