import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as, caseRooms, city, definitions } from "../../test/caseRooms.ts"
import { defineCaseType } from "./CaseType.ts"
import { type CaseFilter, listCases } from "./list.ts"
import { CaseTypes, compileCaseType } from "./registry.ts"

// The pothole whose text can be searched for; stored as before, for the store does not look at it here.
const searchable = compileCaseType(defineCaseType({ definition: { ...definitions.pothole, search: ["text"] } }))
const types = { all: [searchable], get: () => Effect.succeed(searchable) }
const searching = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, CaseTypes, types)

const near = { longitude: 69.28, latitude: 41.31 }
const far = { longitude: 69.4, latitude: 41.4 }
const box = { west: 69.27, south: 41.3, east: 69.29, north: 41.32 }

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("searches of cases", (it) => {
  it.effect("find_a_case_that_other_filters_keep_behind_many_newer_ones", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      const wanted = yield* searching(create({ data: { text: "a broken lamp" }, place: near }))
      for (let n = 0; n < 12; n++) yield* searching(create({ data: { text: `lamp number ${n}` }, place: far }))
      for (const bbox of [box, { ...box, west: 60, south: 35 }]) {
        const found = yield* searching(as(inspector)(listCases({ q: "lamp", bbox }, { limit: 1 })))
        // The second box is as wide as a country: nothing lies behind the newest there.
        assert.deepStrictEqual(found.items.length, 1)
        if (bbox === box) assert.deepStrictEqual([found.items[0]!.id, found.cursor], [wanted.id, undefined])
      }
      // Dropped by a filter that no index helps with.
      const early = { q: "lamp", createdBefore: new Date(wanted.createdAt.getTime() + 1) }
      const found = yield* searching(as(inspector)(listCases(early, { limit: 1 })))
      assert.deepStrictEqual(
        found.items.map((item) => item.id),
        [wanted.id]
      )
      assert.isUndefined(found.cursor)
    })
  )

  it.effect("hold_each_case_once_newest_first", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      const made: Array<string> = []
      for (let n = 0; n < 25; n++) {
        const { id } = yield* searching(create({ data: { text: n % 2 === 0 ? "a lamp" : "a hole" } }))
        if (n % 2 === 0) made.unshift(id)
      }
      const seen: Array<string> = []
      let cursor: string | undefined
      do {
        const filter: CaseFilter = { q: "lamp" }
        const page: { items: ReadonlyArray<{ id: string }>; cursor?: string } = yield* searching(
          as(inspector)(listCases(filter, { limit: 4, cursor }))
        )
        seen.push(...page.items.map((item) => item.id))
        cursor = page.cursor
      } while (cursor !== undefined)
      assert.deepStrictEqual(seen, made)
    })
  )

  it.effect("find_rare_words_by_the_index_and_common_ones_among_the_newest", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      const rare = yield* searching(create({ data: { text: "a heron in the lamp" } }))
      const common: Array<string> = []
      for (let n = 0; n < 8; n++) common.unshift((yield* searching(create({ data: { text: "a lamp" } }))).id)
      const ids = (q: string, limit: number) =>
        Effect.map(searching(as(inspector)(listCases({ q }, { limit }))), ({ items }) => items.map((item) => item.id))
      assert.deepStrictEqual(yield* ids("heron", 5), [rare.id])
      assert.deepStrictEqual(yield* ids("lamp", 5), common.slice(0, 5))
      assert.deepStrictEqual(yield* ids("lamp", 50), [...common, rare.id])
      assert.deepStrictEqual(yield* ids("nothing", 5), [])
    })
  )
})
