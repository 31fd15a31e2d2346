import fc from "fast-check"
import { assert, describe, it } from "vitest"
import type { Role } from "../policy/decide.ts"
import { presetRoles, rolesOf } from "../policy/presets.ts"
import { anonymous, type Principal, system } from "../policy/Principal.ts"
import type { CaseTypeDefinition, FieldSchema, Visibility } from "./CaseType.ts"
import type { CaseRecord } from "./model.ts"
import { decideAudience, viewOf } from "./view.ts"

const rank = { public: 0, owner: 1, staff: 2 } as const
const audiences = ["public", "owner", "staff"] as const

const base: Omit<CaseTypeDefinition, "data"> = {
  id: "shown",
  version: 1,
  title: { en: "Shown" },
  place: "optional",
  anonymous: true,
  public: true,
  attachments: { min: 0, max: 0 },
  creatable: true,
  initial: "new",
  states: { new: { title: { en: "New" }, phase: "open" } },
  transitions: {}
}
const recordOf = (data: Record<string, unknown>): CaseRecord => ({
  id: "id",
  type: "shown",
  typeVersion: 1,
  reference: "7F3K-9QXZ",
  state: "new",
  phase: "open",
  data,
  place: { longitude: 69, latitude: 41 },
  territoryId: "mahalla",
  territoryPath: ["mahalla", "city"],
  ownerId: "the-owner",
  assigneeId: "the-assignee",
  claimedBy: "the-claimant",
  claimedUntil: new Date(0),
  version: 3,
  createdAt: new Date(0),
  updatedAt: new Date(0)
})
const show = (properties: Record<string, FieldSchema>, data: Record<string, unknown>, audience: Visibility) =>
  viewOf(recordOf(data), { ...base, data: { properties } }, audience)

interface Made {
  readonly field: FieldSchema
  readonly value: unknown
}

/** A field with a value whose every leaf says who may see it; `above` holds where nothing is said. */
const made = (above: Visibility, floor: Visibility, depth: number): fc.Arbitrary<Made> =>
  fc.option(fc.constantFrom(...audiences), { nil: undefined }).chain((said) => {
    const own = said ?? above
    // Who may not see the parent does not see the child, whatever it says.
    const seen = rank[own] > rank[floor] ? own : floor
    const marked = said === undefined ? {} : { visibility: said }
    const leaf: fc.Arbitrary<Made> = fc.nat(99_999).map((n) => ({
      field: { type: "string", ...marked },
      value: `<${seen}:${n}>`
    }))
    if (depth === 0) return leaf
    const object = fc
      .dictionary(fc.constantFrom("a", "b", "c"), made(own, seen, depth - 1), { minKeys: 1 })
      .map((children): Made => ({
        field: {
          type: "object",
          properties: Object.fromEntries(Object.entries(children).map(([name, child]) => [name, child.field])),
          ...marked
        },
        value: {
          ...Object.fromEntries(Object.entries(children).map(([name, child]) => [name, child.value])),
          unknown: "<staff:unknown>"
        }
      }))
    const list = made(own, seen, depth - 1).chain((item) =>
      fc.nat(3).map((length): Made => ({
        field: { type: "array", items: item.field, ...marked },
        value: Array.from({ length }, () => item.value)
      }))
    )
    return fc.oneof(leaf, object, list)
  })

const leaves = (value: unknown): ReadonlyArray<string> =>
  JSON.stringify(value).match(/<(public|owner|staff):\w+>/g) ?? []

describe("viewOf", () => {
  const fields = fc.dictionary(fc.constantFrom("f1", "f2", "f3", "f4"), made("owner", "public", 3), { minKeys: 1 })

  it("shows_nobody_what_is_not_for_them_and_everybody_what_is", () => {
    fc.assert(
      fc.property(fields, (given) => {
        const properties = Object.fromEntries(Object.entries(given).map(([name, entry]) => [name, entry.field]))
        const data = Object.fromEntries(Object.entries(given).map(([name, entry]) => [name, entry.value]))
        for (const audience of audiences) {
          const shown = leaves(show(properties, data, audience))
          const allowed = leaves(data).filter(
            (leaf) => rank[leaf.slice(1, leaf.indexOf(":")) as Visibility] <= rank[audience]
          )
          assert.sameMembers([...shown], [...allowed])
        }
      }),
      { numRuns: 500 }
    )
  })

  it("shows_only_staff_what_does_not_fit_its_schema", () => {
    const properties: Record<string, FieldSchema> = {
      object: { type: "object", visibility: "public", properties: { secret: { type: "string", visibility: "staff" } } },
      list: {
        type: "array",
        visibility: "public",
        items: { type: "object", properties: { secret: { type: "string", visibility: "staff" } } }
      }
    }
    const data = { object: [{ secret: "s" }], list: { 0: { secret: "s" } }, gone: "s" }
    assert.deepStrictEqual(show(properties, data, "owner").data, {})
    assert.deepStrictEqual(show(properties, data, "staff").data, data)
  })

  it("leaves_out_a_list_whose_items_are_not_for_the_audience", () => {
    const properties: Record<string, FieldSchema> = {
      marks: { type: "array", visibility: "public", items: { type: "string", visibility: "staff" } }
    }
    assert.deepStrictEqual(show(properties, { marks: [] }, "public").data, {})
    assert.deepStrictEqual(show(properties, { marks: ["x"] }, "owner").data, {})
  })

  it("names_people_only_to_those_who_may_know_them", () => {
    const keys = (audience: Visibility) =>
      Object.keys(show({}, {}, audience)).filter((key) => /owner|assignee|claim/.test(key))
    assert.deepStrictEqual(keys("public"), [])
    assert.deepStrictEqual(keys("owner"), ["ownerId", "assigneeId"])
    assert.deepStrictEqual(keys("staff"), ["ownerId", "assigneeId", "claimedBy", "claimedUntil"])
    assert.notInclude(JSON.stringify(show({}, {}, "public")), "the-")
  })

  it("is_plain_json", () => {
    const view = show({ a: { type: "string", visibility: "public" } }, { a: "x" }, "staff")
    assert.deepStrictEqual(JSON.parse(JSON.stringify(view)), view)
  })
})

describe("decideAudience", () => {
  const readers: Role = { id: "readers", title: "", permissions: ["shown.read"] }
  const roles = rolesOf([...presetRoles, readers], ["shown"])
  const person = (role?: string, territoryId: string | null = null, id = "somebody"): Principal => ({
    id,
    kind: "person",
    tenantId: "t",
    grants: role === undefined ? [] : [{ role, territoryId, until: 1_000 }]
  })
  const cases: ReadonlyArray<readonly [string, Principal, Visibility]> = [
    ["the engine", system("t"), "staff"],
    ["a visitor", anonymous("t"), "public"],
    ["somebody", person(), "public"],
    ["the owner", person(undefined, null, "the-owner"), "owner"],
    ["an inspector", person("inspector"), "staff"],
    ["an inspector of the place", person("inspector", "city"), "staff"],
    ["an inspector of another place", person("inspector", "elsewhere"), "public"],
    ["an owner who inspects", person("inspector", null, "the-owner"), "staff"],
    ["a treasurer", person("treasurer"), "public"],
    ["somebody with the citizens' role in writing", person("citizen"), "public"],
    ["an app that was given the right", { ...person("readers"), kind: "app" }, "staff"],
    ["an app without rights", { ...person(), kind: "app" }, "public"]
  ]
  for (const [name, principal, audience] of cases) {
    it(`${name.replaceAll(" ", "_")}_is_${audience}`, () =>
      assert.strictEqual(decideAudience(roles, principal, recordOf({}), 0), audience))
  }

  it("a_right_that_ran_out_makes_nobody_staff", () => {
    assert.strictEqual(decideAudience(roles, person("inspector"), recordOf({}), 2_000), "public")
  })

  it("a_right_of_all_citizens_makes_nobody_staff", () => {
    const open = new Map([...roles, ["citizen", { id: "citizen", title: "", permissions: ["shown.read"] }] as const])
    assert.strictEqual(decideAudience(open, person(), recordOf({}), 0), "public")
    assert.strictEqual(decideAudience(open, { ...person(), kind: "staff" }, recordOf({}), 0), "public")
  })
})
