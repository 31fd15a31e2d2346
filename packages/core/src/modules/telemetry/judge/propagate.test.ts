/** On which assets alerts show, on a real network. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inject } from "vitest"
import { TenantTx, withTenant } from "../../../kernel/db/Database.ts"
import { Actor, system } from "../../../kernel/policy/Principal.ts"
import { createTenant, testKernel } from "../../../testing/kernel.ts"
import type { AlertEffect } from "../../control-room/index.ts"
import { importNetwork, network, NetworkGraphs, readNetwork } from "../../network/index.ts"
import { propagated } from "./propagate.ts"

const rooms = Layer.merge(
  testKernel({ postgresUrl: inject("postgresUrl"), migrations: network().migrations }),
  NetworkGraphs.layer
)

/** One street of so many junctions below a reservoir; the file names the furthest first. */
const street = (length: number) => {
  const places = Array.from({ length }, (_, place) => length - place)
  return [
    "[JUNCTIONS]",
    ...places.map((place) => `N${place} 400`),
    "[RESERVOIRS]",
    "N0 430",
    "[PIPES]",
    ...places.map((place) => `P${place} N${place - 1} N${place} 10 100 130 0 Open`),
    "[OPTIONS]",
    "Units LPS",
    "[END]"
  ].join("\n")
}

const city = Effect.fnUntraced(function* (junctions: number) {
  const { tenantId } = yield* createTenant()
  const inside = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.provideService(withTenant(tenantId)(self), Actor, system(tenantId))
  yield* inside(
    Effect.flatMap(readNetwork(Stream.make(Buffer.from(street(junctions))), "epanet"), (file) =>
      importNetwork({ network: "water", format: "epanet", file })
    )
  )
  const rows = yield* inside(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ id: string; name: string }>`select id, external_id as name from mahalla.asset`
    )
  )
  const [ids, names] = [
    new Map(rows.map(({ id, name }) => [name, id])),
    new Map(rows.map(({ id, name }) => [id, name]))
  ]
  const raise = (asset: string): AlertEffect => ({
    ...{ kind: "raise", key: { rule: "burst", originator: asset }, episode: "1", at: 0 },
    ...{ severity: "major", summary: "A burst.", details: {}, assetId: ids.get(asset) ?? asset }
  })
  const shownOn = (effects: ReadonlyArray<AlertEffect>) =>
    Effect.map(inside(propagated(effects)), (all) =>
      all.map((effect) => (effect.kind === "raise" ? (effect.propagate ?? []).map((id) => names.get(id)) : []))
    )
  return { inside, raise, shownOn }
})

layer(rooms, { excludeTestServices: true })("an alert", (it) => {
  it.effect("shows_on_the_thousand_assets_that_lie_nearest_below_it_pipes_too", () =>
    Effect.gen(function* () {
      const { raise, shownOn } = yield* city(1200)
      const [shown] = yield* shownOn([raise("N100")])
      const nearest = Array.from({ length: 500 }, (_, place) => [`P${101 + place}`, `N${101 + place}`]).flat()
      assert.deepStrictEqual(shown, nearest)
      assert.deepStrictEqual(yield* shownOn([raise("N1199"), raise("P1200"), raise("N1200")]), [
        ["P1200", "N1200"],
        ["N1200"],
        []
      ])
    })
  )

  it.effect("asks_the_database_once_for_all_that_come_together", () =>
    Effect.gen(function* () {
      const { inside, raise } = yield* city(30)
      const asked = (effects: ReadonlyArray<AlertEffect>) => {
        let statements = 0
        const counting = Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            const attribute = span.attribute.bind(span)
            span.attribute = (key, value) => {
              if (key === "db.query.text" && String(value).includes("mahalla.")) statements++
              attribute(key, value)
            }
            return span
          }
        })
        return Effect.map(inside(Effect.withTracer(propagated(effects), counting)), (all) => [statements, all] as const)
      }
      // The first reads the network into memory.
      yield* asked([raise("N1")])
      const [few] = yield* asked([raise("N1")])
      const places = Array.from({ length: 60 }, (_, place) => `N${1 + (place % 30)}`)
      const [many, told] = yield* asked([...places.map(raise), raise("01a1fb96-0a6f-7324-b14e-40eab5e1b1aa")])
      assert.isAbove(few, 1)
      assert.strictEqual(many, few)
      const below = told.map((effect) => (effect.kind === "raise" ? effect.propagate?.length : undefined))
      assert.deepStrictEqual(below, [...places.map((_, place) => 58 - 2 * (place % 30)), undefined])
    })
  )
})
