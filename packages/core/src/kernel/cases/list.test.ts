import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as, caseRooms, city, definitions } from "../../test/caseRooms.ts"
import { newId } from "../ids.ts"
import type { Principal } from "../policy/Principal.ts"
import { findDuplicates } from "./duplicates.ts"
import { type CaseFilter, listCases } from "./list.ts"
import type { CaseRecord } from "./model.ts"
import { transitionCase } from "./transition.ts"
import { audienceOf, viewOf } from "./view.ts"

const ids = (found: { readonly items: ReadonlyArray<{ readonly id: string }> }) => found.items.map((item) => item.id)
const viewFor = (actor: Principal, record: CaseRecord) =>
  as(actor)(Effect.map(audienceOf(record), (audience) => viewOf(record, definitions.shelter, audience)))
const list = (actor: Principal, filter: CaseFilter = {}, page: { cursor?: string; limit?: number } = {}) =>
  as(actor)(listCases(filter, page))

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("lists", (it) => {
  it.effect("show_every_case_once_page_by_page_while_others_are_made", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      const before = new Set(
        (yield* Effect.forEach(Array.from({ length: 60 }), () => create(), { concurrency: 8 })).map((one) => one.id)
      )
      const making = Effect.forEach(Array.from({ length: 60 }), () => create(), { concurrency: 4, discard: true })
      const reading = Effect.gen(function* () {
        const seen: Array<string> = []
        let cursor: string | undefined
        do {
          const page = yield* list(inspector, {}, { limit: 7, ...(cursor === undefined ? {} : { cursor }) })
          seen.push(...ids(page))
          cursor = page.cursor
        } while (cursor !== undefined)
        return seen
      })
      const [seen] = yield* Effect.all(
        [Effect.all([reading, reading, reading], { concurrency: "unbounded" }), making],
        { concurrency: 2 }
      )
      for (const one of seen) {
        assert.strictEqual(new Set(one).size, one.length, "a row came twice")
        assert.deepStrictEqual(one, one.toSorted().toReversed(), "newest first")
        const found = new Set(one)
        assert.deepStrictEqual(
          [...before].filter((id) => !found.has(id)),
          [],
          "a row was skipped"
        )
      }
    })
  )

  it.effect("end_exactly_at_the_last_row", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      yield* Effect.forEach(Array.from({ length: 6 }), () => create())
      const first = yield* list(inspector, {}, { limit: 3 })
      const second = yield* list(inspector, {}, { limit: 3, cursor: first.cursor! })
      assert.deepStrictEqual([first.items.length, second.items.length, second.cursor], [3, 3, undefined])
      assert.strictEqual((yield* list(inspector, {}, { limit: 100_000 })).items.length, 6)
      assert.strictEqual((yield* Effect.flip(list(inspector, {}, { cursor: "x" })))._tag, "InvalidInput")
      assert.deepStrictEqual(ids(yield* list(inspector, {}, { cursor: "00000000-0000-7000-8000-000000000000" })), [])
    })
  )

  it.effect("show_what_their_reader_may_see_and_what_each_filter_asks_for", () =>
    Effect.gen(function* () {
      const rooms = yield* city
      const { create, inspector, neighbour, owner, visitor } = rooms
      const at = (longitude: number, latitude: number) => ({ place: { longitude, latitude } })
      const open = yield* create({ ...at(66.97, 39.65), data: { kind: "hole", text: "deep" } })
      const east = yield* create({ ...at(179.9, 10) })
      const west = yield* create({ ...at(-179.9, 10) }, neighbour)
      const working = yield* create()
      yield* as(inspector)(transitionCase({ caseId: working.id, transition: "start" }))
      const secret = yield* create({ type: "matter" })
      const everything = [open, east, west, working, secret].map((one) => one.id)
      const expectOf = Effect.fnUntraced(function* (
        who: Principal,
        filter: CaseFilter,
        expected: ReadonlyArray<{ id: string }>
      ) {
        const found = ids(yield* list(who, filter)).filter((id) => everything.includes(id))
        assert.deepStrictEqual(found.toSorted(), expected.map((one) => one.id).toSorted(), JSON.stringify(filter))
      })
      yield* expectOf(inspector, {}, [open, east, west, working, secret])
      // Potholes are for everybody, a matter for its owner and staff.
      yield* expectOf(owner, {}, [open, east, west, working, secret])
      yield* expectOf(neighbour, {}, [open, east, west, working])
      yield* expectOf(visitor, {}, [open, east, west, working])
      yield* expectOf(visitor, { owner: "me" }, [])
      yield* expectOf(neighbour, { owner: "me" }, [west])
      yield* expectOf(neighbour, { type: ["matter"] }, [])
      yield* expectOf(inspector, { type: ["matter"] }, [secret])
      yield* expectOf(inspector, { type: ["matter", "pothole"], state: ["working"] }, [working])
      yield* expectOf(inspector, { state: ["new", "working"] }, [open, east, west, working, secret])
      yield* expectOf(inspector, { phase: "fixed" }, [])
      yield* expectOf(inspector, { bbox: { west: 66, south: 39, east: 67, north: 40 } }, [open])
      yield* expectOf(inspector, { bbox: { west: 179, south: 9, east: -179, north: 11 } }, [east, west])
      yield* expectOf(inspector, { bbox: { west: -180, south: -90, east: 180, north: 90 } }, [open, east, west])
      yield* expectOf(inspector, { createdAfter: secret.createdAt }, [secret])
      yield* expectOf(inspector, { createdBefore: open.createdAt }, [])
      yield* expectOf(inspector, { q: open.reference }, [open])
      yield* expectOf(inspector, { q: "'); drop table" }, [])
      yield* expectOf(inspector, { assignee: yield* newId }, [])
      yield* expectOf(inspector, { territory: yield* newId }, [])
      yield* expectOf(inspector, { parent: open.id }, [])
      const other = yield* city
      yield* expectOf(other.inspector, { q: open.reference }, [])
    })
  )

  it.effect("are_filtered_before_they_are_cut_into_pages", () =>
    Effect.gen(function* () {
      const { create, neighbour, owner } = yield* city
      yield* Effect.forEach(Array.from({ length: 30 }), () => create({ type: "matter" }), { concurrency: 4 })
      const mine = yield* create({ type: "matter" }, neighbour)
      yield* Effect.forEach(Array.from({ length: 30 }), () => create({ type: "matter" }), { concurrency: 4 })
      const page = yield* list(neighbour, { type: ["matter"] }, { limit: 5 })
      assert.deepStrictEqual([ids(page), page.cursor], [[mine.id], undefined])
      assert.strictEqual((yield* list(owner, { type: ["matter"] }, { limit: 5 })).items.length, 5)
    })
  )

  it.effect("find_nothing_by_a_place_or_a_word_that_the_asker_does_not_see", () =>
    Effect.gen(function* () {
      const { create, inspector, neighbour, owner, visitor } = yield* city
      const place = { longitude: 69.24, latitude: 41.3 }
      const { id } = yield* create({ type: "shelter", data: { kind: "house", text: "behind the mill" }, place })
      const bbox = { west: 69.2, south: 41.2, east: 69.3, north: 41.4 }
      const draft = { type: "shelter", data: { kind: "house" }, place }
      for (const [actor, sees] of [
        [inspector, true],
        [owner, true],
        [neighbour, false],
        [visitor, false]
      ] as const) {
        const listed = (yield* list(actor, { type: ["shelter"] })).items[0]!
        assert.deepStrictEqual([listed.id, (yield* viewFor(actor, listed)).place], [id, sees ? place : null])
        assert.deepStrictEqual(ids(yield* list(actor, { bbox })), sees ? [id] : [])
        assert.deepStrictEqual(ids(yield* list(actor, { q: "mill" })), sees ? [id] : [])
        assert.strictEqual((yield* as(actor)(findDuplicates(draft))).length, sees ? 1 : 0)
      }
    })
  )
})
