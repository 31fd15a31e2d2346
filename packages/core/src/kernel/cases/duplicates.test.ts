import pg from "pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as, caseRooms, city } from "../../test/caseRooms.ts"
import { TestKernel } from "../../testing/kernel.ts"
import { PlatformTx, TenantTx, withPlatform } from "../db/Database.ts"
import { findDuplicates } from "./duplicates.ts"
import { cellOf } from "./geo.ts"
import { mergeDuplicate } from "./links.ts"

const corner = { longitude: 69.2797, latitude: 41.3111 }
/** Metres to the north of the corner. */
const north = (metres: number) => ({ ...corner, latitude: corner.latitude + metres / 111_195 })
const hole = { kind: "hole", text: "It is deep." }

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("findDuplicates", (it) => {
  it.effect("suggests_what_is_near_nearest_first_with_public_fields_only", () =>
    Effect.gen(function* () {
      const { create, neighbour } = yield* city
      const far = yield* create({ place: north(90) })
      const near = yield* create({ place: north(20) })
      yield* create({ place: north(130) })
      yield* create()
      const found = yield* as(neighbour)(findDuplicates({ type: "pothole", place: corner, data: hole }))
      assert.deepStrictEqual(
        found.map((suggestion) => [suggestion.case.id, suggestion.distance]),
        [
          [near.id, 20],
          [far.id, 90]
        ]
      )
      assert.deepStrictEqual(found[0]?.case.data, { kind: "hole" })
      assert.isAtMost(found[0]!.seconds, 60)
    })
  )

  it.effect("wants_fields_equal_where_both_have_them", () =>
    Effect.gen(function* () {
      const { create, neighbour } = yield* city
      const hump = yield* create({ place: corner, data: { kind: "hump" } })
      const unknown = yield* create({ place: corner, data: {} })
      const ids = (data: Record<string, unknown>) =>
        Effect.map(as(neighbour)(findDuplicates({ type: "pothole", place: corner, data })), (found) =>
          found.map((entry) => entry.case.id).sort()
        )
      assert.deepStrictEqual(yield* ids({ kind: "hump" }), [hump.id, unknown.id].sort())
      assert.deepStrictEqual(yield* ids({ kind: "hole" }), [unknown.id])
      assert.deepStrictEqual(yield* ids({}), [hump.id, unknown.id].sort())
    })
  )

  it.effect("counts_from_when_it_happened_or_was_made", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      const at = (hour: number) => ({ happenedAt: new Date(Date.UTC(2026, 10, 20, hour)).toISOString() })
      const matter = yield* create({ type: "matter", place: corner, data: at(0) })
      const find = (data: Record<string, unknown>) =>
        as(inspector)(findDuplicates({ type: "matter", place: corner, data }))
      assert.deepStrictEqual(
        (yield* find(at(20))).map((entry) => [entry.case.id, entry.seconds]),
        [[matter.id, 72_000]]
      )
      assert.lengthOf(yield* find(at(-20)), 1)
      assert.lengthOf(yield* find(at(25)), 0)
      assert.lengthOf(yield* find(at(-25)), 0)
      const pothole = yield* create({ place: corner })
      const later = (days: number) =>
        as(inspector)(
          findDuplicates({
            type: "pothole",
            place: corner,
            data: hole,
            createdAt: pothole.createdAt.getTime() + days * 86_400_000
          })
        )
      assert.lengthOf(yield* later(0.9), 1)
      assert.lengthOf(yield* later(1.1), 0)
    })
  )

  it.effect("leaves_out_itself_merged_ones_and_what_the_actor_may_not_know", () =>
    Effect.gen(function* () {
      const { create, inspector, neighbour, owner } = yield* city
      const [original, duplicate] = [yield* create({ place: corner }), yield* create({ place: corner })]
      yield* as(inspector)(mergeDuplicate({ duplicateId: duplicate.id, intoId: original.id }, () => Effect.void))
      const draft = { type: "pothole", place: corner, data: hole }
      assert.deepStrictEqual(
        (yield* as(neighbour)(findDuplicates(draft))).map((entry) => entry.case.id),
        [original.id]
      )
      assert.lengthOf(yield* as(neighbour)(findDuplicates({ ...draft, exceptId: original.id })), 0)
      yield* create({ type: "matter", place: corner })
      const matter = { type: "matter", place: corner, data: {} }
      assert.lengthOf(yield* as(neighbour)(findDuplicates(matter)), 0)
      assert.lengthOf(yield* as(owner)(findDuplicates(matter)), 1)
      assert.lengthOf(yield* as(inspector)(findDuplicates(matter)), 1)
    })
  )

  it.effect("looks_only_at_the_index_by_place_behind_row_level_security", () =>
    Effect.gen(function* () {
      const { create, inspector, tenantId } = yield* city
      const near = yield* create({ place: corner })
      const { owner } = yield* TestKernel
      yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) => sql`
            insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, longitude, latitude, h3, created_at, updated_at)
            select ${tenantId}, mahalla.uuid_floor(now() - n * interval '1 second'), 'pothole', 1, 'R' || n, 'new', 'open', '{}', 69.0, 41.0,
                   ${cellOf(corner)} + n::bigint * 262144 * 97, now(), now()
            from generate_series(1, 20000) n`
        )
      )
      yield* Effect.promise(async () => {
        const client = new pg.Client({ connectionString: Redacted.value(owner) })
        await client.connect()
        await client.query("analyze mahalla.civic_case")
        await client.end()
      })
      const seen = yield* as(inspector)(
        Effect.gen(function* () {
          const found = yield* findDuplicates({ type: "pothole", place: corner, data: hole })
          const { sql } = yield* TenantTx
          const [scans] = yield* sql`
            select pg_stat_get_xact_numscans('mahalla.case_by_place'::regclass) > 0 as "by place",
                   pg_stat_get_xact_numscans('mahalla.civic_case'::regclass) as "whole table"`
          return { found: found.map((entry) => entry.case.id), scans }
        })
      )
      assert.deepStrictEqual(seen, { found: [near.id], scans: { "by place": true, "whole table": 0n } })
    })
  )
})
