/** Where alerts are: in the territories of their devices, whether anybody has drawn these on a map or not. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { TenantTx } from "../../../kernel/db/Database.ts"
import { addTerritory } from "../../../kernel/tenancy/territories.ts"
import { controlRooms } from "../../../test/controlRooms.ts"
import { highPressure, migrations, minute, open, start } from "../../../test/judgingRoom.ts"
import { createWindow } from "../../control-room/windows.ts"
import { changeDevice, createDevices, listDevices } from "../devices.ts"
import type { Condition } from "../rules/definition.ts"
import { putRule } from "../storedRules.ts"

const aboveEight = (member: string): Condition => ({
  ...{ kind: "compare", datastream: "pressure", member, is: "above" },
  than: { kind: "constant", value: 8 }
})

/** A city with two districts of one town that nobody has drawn, and a device without a place in each. */
const town = Effect.gen(function* () {
  const room = yield* open
  const { as } = room
  const { id: whole } = yield* as(addTerritory({ kind: "city", name: { en: "Town" } }))
  const part = (name: string) => as(addTerritory({ kind: "district", name: { en: name }, parentId: whole }))
  const [north, south] = [(yield* part("North")).id, (yield* part("South")).id]
  const { items } = yield* as(listDevices({}, {}))
  const profileId = items[0]!.profileId
  const [one, two] = yield* as(
    createDevices(
      [
        { name: "n1", profileId, territoryId: north },
        { name: "s1", profileId, territoryId: south }
      ],
      () => ""
    )
  )
  const { id: _id, version: _version, ...body } = highPressure
  /** Of both, or of one and another that is on the map. */
  const pairOf = (id: string, a: string, b: string) =>
    as(
      putRule(
        id,
        {
          title: body.title,
          scope: { kind: "sets", sets: [{ id, members: { a, b } }] },
          levels: [{ severity: "minor", condition: { kind: "all", conditions: [aboveEight("a"), aboveEight("b")] } }]
        },
        undefined
      )
    )
  const seen = as(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ rule: string; name: string; territory: string | null; state: string }>`
        select c.data ->> 'rule' as rule, c.data ->> 'originatorName' as name, c.territory_id as territory, c.state
        from mahalla.civic_case c where c.type = 'alert' order by c.id`
    )
  )
  return { ...room, devices: items, north, south, whole, n1: one!.id, s1: two!.id, pairOf, seen }
})

layer(controlRooms(inject("postgresUrl"), migrations), { excludeTestServices: true })("an alert", (it) => {
  it.effect("is_in_the_territory_of_its_device_also_where_that_has_no_place", () =>
    Effect.gen(function* () {
      const { as, devices, north, process, seen, south } = yield* town
      const { follow, send } = yield* process()
      // On the map, where no district is drawn.
      yield* as(changeDevice(devices.find(({ name }) => name === "p1")!.id, { territoryId: south }))
      for (const name of ["n1", "p1", "p2"]) yield* send(name, [[0, 9]])
      yield* follow.settle
      assert.sameDeepMembers(
        (yield* seen).map(({ name, territory }) => [name, territory]),
        [
          ["n1", north],
          ["p1", south],
          ["p2", null]
        ]
      )
    })
  )

  it.effect("of_a_set_is_in_the_territory_that_its_members_have_in_common", () =>
    Effect.gen(function* () {
      const { as, devices, n1, north, pairOf, process, s1, seen, whole } = yield* town
      const p1 = devices.find(({ name }) => name === "p1")!.id
      const p2 = devices.find(({ name }) => name === "p2")!.id
      yield* pairOf("across", n1, s1)
      yield* pairOf("within", n1, p1)
      yield* pairOf("elsewhere", p1, p2)
      const { follow, send } = yield* process()
      for (const name of ["n1", "s1", "p1", "p2"]) yield* send(name, [[0, 9]])
      yield* follow.settle
      const sets = (yield* seen).filter(({ rule }) => rule !== "high-pressure")
      assert.sameDeepMembers(
        sets.map(({ rule, territory }) => [rule, territory]),
        [
          ["across", whole],
          ["within", north],
          ["elsewhere", null]
        ]
      )
      const places = yield* as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ longitude: number | null; latitude: number | null }>`
            select longitude, latitude from mahalla.civic_case where data ->> 'rule' = 'elsewhere'`
        )
      )
      assert.deepStrictEqual(places, [{ longitude: 66.97, latitude: 39.65 }])
    })
  )

  it.effect("is_suppressed_by_a_window_in_its_district_and_a_sets_by_one_on_any_of_its_members", () =>
    Effect.gen(function* () {
      const { as, devices, n1, north, pairOf, process, s1, seen } = yield* town
      const p1 = devices.find(({ name }) => name === "p1")!.id
      const p2 = devices.find(({ name }) => name === "p2")!.id
      yield* pairOf("across", n1, s1)
      yield* pairOf("elsewhere", p1, p2)
      const during = { from: new Date(start - minute), until: new Date(start + 600 * minute), reason: "New pumps" }
      const nowhere = { devices: [], assets: [], territories: [], rules: [] }
      yield* as(createWindow({ ...nowhere, ...during, territories: [north] }))
      yield* as(createWindow({ ...nowhere, ...during, devices: [p2] }))
      const { follow, send } = yield* process()
      for (const name of ["n1", "s1", "p1", "p2"]) yield* send(name, [[0, 9]])
      yield* follow.settle
      assert.sameDeepMembers(
        (yield* seen).map(({ name, rule, state }) => [rule === "high-pressure" ? name : rule, state]),
        [
          ["n1", "suppressed"],
          ["s1", "open"],
          ["p1", "open"],
          ["p2", "suppressed"],
          ["across", "suppressed"],
          ["elsewhere", "suppressed"]
        ]
      )
    })
  )
})
