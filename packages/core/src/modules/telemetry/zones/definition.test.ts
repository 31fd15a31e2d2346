import { describe, expect, it } from "vitest"
import { issuesOfZone, limits, type ZoneDefinition } from "./definition.ts"
import { givenEffects, packEffects, unpackEffects } from "./effects.ts"

const units: Readonly<Record<string, string>> = { a: "bar", b: "kPa", in: "L/s", out: "m3/h", level: "m", warm: "Cel" }
const pointers = (given: Omit<ZoneDefinition, "name">) =>
  issuesOfZone({ name: "North", ...given }, (id) => units[id]).map(({ pointer }) => pointer)

const pressure = { datastreamId: "a", role: "pressure" } as const
const inflow = { datastreamId: "in", role: "inflow" } as const

describe("a zone's definition", () => {
  it("names_the_place_of_each_mistake", () => {
    expect(pointers({ sensors: [pressure, inflow] })).toEqual([])
    expect(pointers({ sensors: [pressure, pressure] })).toEqual(["/sensors/1/datastreamId"])
    expect(pointers({ sensors: [pressure, { ...inflow, datastreamId: "gone" }] })).toEqual(["/sensors/1/datastreamId"])
    expect(pointers({ sensors: [{ ...pressure, datastreamId: "warm" }, inflow] })).toEqual(["/sensors/0/role"])
    expect(pointers({ sensors: [{ ...inflow, role: "pressure" }] })).toEqual(["/sensors/0/role"])
    expect(pointers({ sensors: [{ datastreamId: "out", role: "outflow" }] })).toEqual(["/sensors"])
    const outflows = Array.from({ length: limits.outflows + 1 }, (_, n) => `out${n}`)
    const many = [pressure, ...outflows.map((datastreamId) => ({ datastreamId, role: "outflow" as const }))]
    expect(issuesOfZone({ name: "North", sensors: many }, () => "m3/h").map(({ pointer }) => pointer)).toEqual([
      "/sensors/0/role",
      "/sensors"
    ])
  })

  it("takes_a_tanks_level_only_from_a_pressure_and_for_an_outflow", () => {
    const level = { datastreamId: "level", role: "pressure" } as const
    const pump = { datastreamId: "out", role: "outflow", tankLevel: "level" } as const
    expect(pointers({ sensors: [level, inflow, pump] })).toEqual([])
    expect(pointers({ sensors: [pressure, inflow, pump] })).toEqual(["/sensors/2/tankLevel"])
    expect(pointers({ sensors: [level, { ...inflow, tankLevel: "level" }] })).toEqual(["/sensors/1/tankLevel"])
  })

  it("takes_a_model_that_fits_its_sensors_and_is_not_too_large", () => {
    const place = (name: string, ...effects: ReadonlyArray<number>) => ({ name, effects })
    const sensors = [pressure, inflow]
    expect(pointers({ sensors, places: [place("x", -1, 1), place("y", -2, 1)] })).toEqual([])
    expect(pointers({ sensors, places: [place("x", -1, 1), place("x", -2)] })).toEqual([
      "/places/1/name",
      "/places/1/effects"
    ])
    expect(pointers({ sensors: [inflow], places: [place("x", 1)] })).toEqual(["/places"])
    const wide = Array.from({ length: limits.sensors }, (_, n) => ({ ...pressure, datastreamId: `p${n}` }))
    const rows = Array.from({ length: limits.effects / limits.sensors + 1 }, (_, n) =>
      place(`${n}`, ...wide.map(() => -1))
    )
    const issues = issuesOfZone({ name: "North", sensors: wide, places: rows }, () => "bar")
    expect(issues.map(({ pointer }) => pointer)).toEqual(["/places"])
    expect(issuesOfZone({ name: "North", sensors: wide, places: rows.slice(1) }, () => "bar")).toEqual([])
  })

  it("keeps_effects_to_seven_digits_in_four_bytes_each", () => {
    const places = [
      { name: "x", effects: [-0.0123456, 1, 0] },
      { name: "y", effects: [-12.34567, 0.1, 1e-9] }
    ]
    const bytes = packEffects(places)
    expect(bytes.byteLength).toBe(24)
    expect(unpackEffects(["x", "y"], bytes).map(givenEffects)).toEqual(places)
  })
})
