import fc from "fast-check"
import * as Effect from "effect/Effect"
import { assert, describe, it, layer } from "@effect/vitest"
import { inject } from "vitest"
import type { BoundingBox } from "../../kernel/cases/geo.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { network } from "./index.ts"
import type { Position } from "./model.ts"
import { lockNetwork } from "./networks.ts"
import { meets, metresTo, placeOf } from "./places.ts"
import { prepare } from "./prepare.ts"
import { writeAssets } from "./write.ts"

const steps = (size: number) => fc.double({ min: -size, max: size, noNaN: true })
/** Lines from a doorstep to a county, around Tashkent and across the equator. */
const lines = fc
  .record({
    at: fc.constantFrom<Position>([69.28, 41.31], [0.01, 0.01], [-179.2, -60]),
    offset: fc.tuple(steps(0.05), steps(0.05)),
    size: fc.constantFrom(0.0005, 0.005, 0.1, 0.6),
    share: fc.array(fc.tuple(steps(1), steps(1)), { minLength: 1, maxLength: 4 })
  })
  .map(({ at, offset, share, size }): ReadonlyArray<Position> => {
    const [x, y] = [at[0] + offset[0], at[1] + offset[1]]
    return [[x, y], ...share.map(([dx, dy]): Position => [x + dx * size, y + dy * size])]
  })
const boxes = fc
  .record({
    at: fc.constantFrom<Position>([69.28, 41.31], [0.01, 0.01], [-179.2, -60]),
    offset: fc.tuple(steps(0.1), steps(0.1)),
    size: fc.tuple(fc.constantFrom(0.0002, 0.002, 0.05, 1), fc.constantFrom(0.0002, 0.002, 0.05, 1))
  })
  .map(({ at, offset, size }): BoundingBox => {
    const [west, south] = [at[0] + offset[0], at[1] + offset[1]]
    return { west, south, east: west + size[0], north: south + size[1] }
  })

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: network().migrations }), {
  excludeTestServices: true
})("a box", (it) => {
  it.effect("finds_exactly_the_assets_whose_bounds_meet_it_however_far_they_reach", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const drawn = fc.sample(lines, { numRuns: 600, seed: 4 })
      yield* withTenant(tenantId)(
        Effect.gen(function* () {
          const { id } = yield* lockNetwork("boxes", new Date(0))
          const facts = {
            status: "open",
            operable: true,
            directed: false,
            length: 1,
            diameter: null,
            material: null
          } as const
          const more = { installedOn: null, customers: 0, demand: 0, properties: {} }
          const { lines: prepared, points } = yield* prepare(
            {
              title: "",
              warnings: [],
              points: drawn.flatMap((positions, place) =>
                [positions[0]!, positions.at(-1)!].map((position, end) => ({
                  ...facts,
                  ...more,
                  shape: "point",
                  kind: "junction",
                  externalId: `${place}/${end}`,
                  position
                }))
              ),
              lines: drawn.map((positions, place) => ({
                ...facts,
                ...more,
                shape: "line",
                kind: "pipe",
                externalId: `${place}`,
                from: `${place}/0`,
                to: `${place}/1`,
                vertices: positions.slice(1, -1)
              }))
            },
            { kind: "degrees" }
          )
          const all = [...points, ...prepared]
          const { sql } = yield* TenantTx
          const ids = new Map<string, string>()
          for (const [place, { externalId, shape }] of all.entries())
            ids.set(`${shape} ${externalId}`, `00000000-0000-7000-8000-${place.toString(16).padStart(12, "0")}`)
          yield* writeAssets(id, all, (shape, name) => ids.get(`${shape} ${name}`)!, new Date(0))
          let found = 0
          for (const box of fc.sample(boxes, { numRuns: 100, seed: 5 })) {
            const rows = yield* sql<{ name: string }>`
              select a.shape || ' ' || a.external_id as name from mahalla.asset a where ${meets(sql, box)} and a.tenant_id = ${tenantId}`
            const expected = all
              .filter(
                ({ east, north, south, west }) =>
                  west! <= box.east && east! >= box.west && south! <= box.north && north! >= box.south
              )
              .map(({ externalId, shape }) => `${shape} ${externalId}`)
            assert.deepStrictEqual(
              rows.map(({ name }) => name).toSorted((a, b) => (a < b ? -1 : 1)),
              expected.toSorted((a, b) => (a < b ? -1 : 1)),
              JSON.stringify(box)
            )
            found += expected.length
          }
          assert.isAbove(found, 1000)
        })
      )
    })
  )
})

describe("places", () => {
  it("are_kept_apart_by_how_far_they_reach", () => {
    const reach = (degrees: number) =>
      placeOf([
        [0, 0],
        [degrees, 0]
      ]).reach
    assert.deepStrictEqual([placeOf([[1, 2]]).reach, reach(0.004), reach(0.04), reach(0.4)], [0, 1, 2, 3])
    assert.isNull(placeOf([]).reach)
  })

  it("of_lines_are_measured_along_their_whole_length", () => {
    const street: ReadonlyArray<Position> = [
      [69, 41],
      [69.01, 41],
      [69.01, 41.01]
    ]
    assert.closeTo(metresTo({ longitude: 69.005, latitude: 41.001 }, street), 111.2, 0.5)
    assert.closeTo(metresTo({ longitude: 69.02, latitude: 41.02 }, street), 1392, 5)
    assert.strictEqual(metresTo({ longitude: 69, latitude: 41 }, [[69, 41]]), 0)
    const river = Array.from({ length: 200_000 }, (_, place): Position => [69 + place / 1e6, 41])
    assert.closeTo(metresTo({ longitude: 69.1, latitude: 41.001 }, river), 111.2, 0.5)
  })
})
