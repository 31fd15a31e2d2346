import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inject } from "vitest"
import { InvalidInput, Refused } from "../../kernel/cases/model.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { memoryBlobStore } from "../../testing/BlobStore.memory.ts"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { changeAsset, createAsset, listAssets, loadAsset, nearestAsset, retireAsset } from "./assets.ts"
import { inGraph, NetworkGraphs } from "./graphs.ts"
import { importNetwork } from "./importNetwork.ts"
import { atOnce, importJob, loadImport, takeImport } from "./importJobs.ts"
import { network } from "./index.ts"
import { isolate } from "./isolate.ts"
import { networkByName } from "./networks.ts"
import { readNetwork } from "./readFile.ts"
import type { Transform } from "./transform.ts"

const town = readFileSync(join(import.meta.dirname, "../../../../../examples/water-watch/network.inp"), "utf8")
/** The town's corner of Navoi and Temur streets. */
const anchor: Transform = { kind: "anchor", longitude: 69.28, latitude: 41.31, x: 0, y: 0, metresPerUnit: 1 }

const rooms = Layer.mergeAll(
  testKernel({ postgresUrl: inject("postgresUrl"), migrations: network().migrations }),
  NetworkGraphs.layer,
  memoryBlobStore
)

const inCity = <A, E, R>(self: (tenantId: string) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { tenantId } = yield* createTenant()
    return yield* Effect.provideService(self(tenantId), Actor, system(tenantId))
  })

const bring = (
  text: string,
  more: { readonly transform?: Transform; readonly dryRun?: boolean } = { transform: anchor }
) =>
  Effect.flatMap(readNetwork(Stream.make(Buffer.from(text)), "epanet"), (file) =>
    importNetwork({ network: "water", format: "epanet", file, ...more })
  )

/** Everything of a tenant's assets that could differ. */
const rowsOf = (tenantId: string) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) =>
        sql<
          Record<string, unknown>
        >`select * from mahalla.asset where tenant_id = ${tenantId} order by shape, external_id`
    )
  )
const revisionOf = Effect.map(networkByName("water"), (row) => row?.revision)
const named = (externalId: string) =>
  Effect.map(listAssets({ q: externalId }, { limit: 50 }), ({ items }) =>
    items.find((one) => one.externalId === externalId)!
  )

layer(rooms, { excludeTestServices: true })("an import", (it) => {
  it.effect("adds_all_once_and_the_same_file_again_changes_nothing", () =>
    inCity((tenantId) =>
      Effect.gen(function* () {
        const first = yield* withTenant(tenantId)(bring(town))
        assert.deepStrictEqual([first.added, first.changed, first.retired], [103, 0, 0])
        assert.deepStrictEqual(first.warnings, [])
        const before = yield* rowsOf(tenantId)
        assert.lengthOf(before, 103)
        const revision = yield* withTenant(tenantId)(revisionOf)
        const again = yield* withTenant(tenantId)(bring(town))
        assert.deepStrictEqual([again.added, again.changed, again.retired, again.unchanged], [0, 0, 0, 103])
        // Without a transform it is the one of the import before.
        yield* withTenant(tenantId)(bring(town, {}))
        assert.deepStrictEqual(yield* rowsOf(tenantId), before)
        assert.strictEqual(yield* withTenant(tenantId)(revisionOf), revision)
      })
    )
  )

  it.effect("changes_what_the_file_says_differently_and_retires_what_it_has_no_more", () =>
    inCity((tenantId) =>
      Effect.gen(function* () {
        yield* withTenant(tenantId)(bring(town))
        const changed = town
          .replace(/ P32\t.*\n/, "")
          .replace(/ E1\t401.2.*\n/, "")
          .replace(/ LINK\tP32.*\n/, "")
          .replace(/ E1\t430.*\n/, "")
          .replace(" P01\tN01\tJ21\t198\t100", " P01\tN01\tJ21\t198\t150")
          .replace("[RESERVOIRS]", "[RESERVOIRS]\n WELL 420")
        const planned = yield* withTenant(tenantId)(bring(changed, { dryRun: true }))
        const before = yield* rowsOf(tenantId)
        const done = yield* withTenant(tenantId)(bring(changed))
        // The dry run said so, and had changed nothing.
        assert.deepStrictEqual({ ...done, warnings: [] }, { ...planned, warnings: [] })
        assert.lengthOf(
          before.filter((row) => row["retired_at"] !== null),
          0
        )
        assert.deepStrictEqual(done.examples, { added: ["WELL"], changed: ["P01"], retired: ["E1", "P32"] })
        const after = yield* rowsOf(tenantId)
        const pipe = after.find((row) => row["external_id"] === "P01")!
        assert.deepStrictEqual([pipe["diameter"], pipe["version"]], [150, 2])
        assert.lengthOf(
          after.filter((row) => row["retired_at"] !== null),
          2
        )
        // Back again, as the same things.
        const back = yield* withTenant(tenantId)(bring(town))
        assert.deepStrictEqual([back.added, back.changed, back.retired], [2, 1, 1])
        const ids = (rows: ReadonlyArray<Record<string, unknown>>) =>
          rows.filter((row) => row["retired_at"] === null).map((row) => row["id"])
        assert.deepStrictEqual(ids(yield* rowsOf(tenantId)), ids(before))
      })
    )
  )

  it.effect("keeps_what_was_done_by_hand_until_the_file_says_something_new", () =>
    inCity((tenantId) =>
      withTenant(tenantId)(
        Effect.gen(function* () {
          yield* bring(town)
          const valve = yield* named("V01")
          yield* changeAsset(valve.id, { status: "closed", operable: false }, undefined)
          const end = yield* named("E1")
          const meter = yield* createAsset({
            ...{
              networkId: valve.networkId,
              kind: "meter",
              externalId: "M1",
              status: "open",
              operable: true,
              directed: false
            },
            ...{
              length: null,
              diameter: null,
              material: null,
              installedOn: null,
              customers: 4,
              demand: 0.2,
              properties: {}
            },
            positions: [[69.285, 41.308]]
          })
          yield* createAsset({
            ...{
              networkId: valve.networkId,
              kind: "pipe",
              externalId: "S1",
              status: "open",
              operable: true,
              directed: false
            },
            ...{
              length: null,
              diameter: 32,
              material: "PE",
              installedOn: "2024-05-01",
              customers: 0,
              demand: 0,
              properties: {}
            },
            ...{ fromId: end.id, toId: meter.id, positions: [] }
          })
          // The file loses the point at which the service pipe begins.
          const less = town
            .replace(/ P32\t.*\n/, "")
            .replace(/ E1\t401.2.*\n/, "")
            .replace(/ LINK\tP32.*\n/, "")
            .replace(/ E1\t430.*\n/, "")
          const report = yield* bring(less)
          assert.deepStrictEqual(report.examples.retired, ["P32"])
          const kept = yield* loadAsset(valve.id)
          assert.deepStrictEqual([kept.status, kept.operable], ["closed", false])
          assert.isNull((yield* loadAsset(end.id)).retiredAt)
          assert.isNull((yield* loadAsset(meter.id)).retiredAt)
          const refused = yield* Effect.flip(retireAsset(end.id, undefined))
          assert.instanceOf(refused, Refused)
        })
      )
    )
  )

  it.effect("refuses_a_mistaken_file_whole_and_a_projection_that_nobody_knows", () =>
    inCity((tenantId) =>
      Effect.gen(function* () {
        const file = yield* Effect.flip(withTenant(tenantId)(bring(town.replace("\tJ21\t198", "\tJ99\t198"))))
        assert.instanceOf(file, InvalidInput)
        assert.match((file as InvalidInput).message, /\[PIPES\], line 61: The pipe P01 ends at J99/)
        for (const projection of ["EPSG:99999999", "+proj=nonsense", "EPSG:4326"]) {
          const wrong = yield* Effect.flip(
            withTenant(tenantId)(bring(town, { transform: { kind: "projection", projection } }))
          )
          assert.strictEqual((wrong as InvalidInput).issues[0]!.pointer, "#query/projection")
        }
        assert.lengthOf(yield* rowsOf(tenantId), 0)
      })
    )
  )

  it.effect("of_one_city_is_not_there_for_another", () =>
    inCity((ours) =>
      Effect.gen(function* () {
        yield* withTenant(ours)(bring(town))
        const { id } = yield* withTenant(ours)(named("P01"))
        yield* inCity((theirs) =>
          withTenant(theirs)(
            Effect.gen(function* () {
              yield* bring(town)
              const mine = yield* named("P01")
              assert.notStrictEqual(mine.id, id)
              assert.strictEqual((yield* Effect.flip(loadAsset(id)))._tag, "NotFound")
              assert.strictEqual(
                (yield* Effect.flip(changeAsset(id, { status: "closed" }, undefined)))._tag,
                "NotFound"
              )
              const { sql } = yield* TenantTx
              // The second wall alone: no tenant in the statement.
              const seen = yield* sql<{ n: number }>`select count(*)::int as n from mahalla.asset`
              assert.strictEqual(seen[0]!.n, 103)
            })
          )
        )
        assert.strictEqual((yield* withTenant(ours)(loadAsset(id))).status, "open")
      })
    )
  )

  it.effect("of_a_large_file_is_a_job_that_says_how_far_it_is_and_what_was_wrong", () =>
    inCity((tenantId) =>
      Effect.gen(function* () {
        // Remarks count as bytes too.
        const padded = `${town}\n;${" ".repeat(atOnce)}`
        const options = { network: "water", format: "epanet", transform: anchor, dryRun: false } as const
        const run = (id: string) =>
          importJob.run({ id }, { id: "j", tenantId, attempt: 1, maxAttempts: 3 }) as Effect.Effect<void, unknown>
        const waiting = yield* withTenant(tenantId)(takeImport(options, Buffer.from(padded)))
        assert.deepStrictEqual([waiting.state, waiting.report], ["waiting", null])
        assert.lengthOf(yield* rowsOf(tenantId), 0)
        yield* run(waiting.id)
        const done = yield* withTenant(tenantId)(loadImport(waiting.id))
        assert.deepStrictEqual([done.state, done.done, done.total, done.report?.added], ["done", 103, 103, 103])
        // Delivered twice: nothing happens.
        yield* run(waiting.id)
        const broken = yield* withTenant(tenantId)(
          takeImport(options, Buffer.from(padded.replace("\tJ21\t198", "\tJ99\t198")))
        )
        yield* run(broken.id)
        const failed = yield* withTenant(tenantId)(loadImport(broken.id))
        assert.strictEqual(failed.state, "failed")
        yield* run(broken.id)
        assert.deepStrictEqual(yield* withTenant(tenantId)(loadImport(broken.id)), failed)
        assert.match(failed.error!, /line 61: The pipe P01 ends at J99/)
        assert.lengthOf(
          (yield* rowsOf(tenantId)).filter((row) => row["version"] !== 1),
          0
        )
      })
    )
  )
})

layer(rooms, { excludeTestServices: true })("assets", (it) => {
  it.effect("are_found_by_box_kind_and_name_a_page_at_a_time", () =>
    inCity((tenantId) =>
      withTenant(tenantId)(
        Effect.gen(function* () {
          yield* bring(town)
          const names = (filter: Parameters<typeof listAssets>[0]) =>
            Effect.map(listAssets(filter, { limit: 200 }), ({ items }) =>
              items.map(({ externalId }) => externalId).toSorted((a, b) => (a < b ? -1 : 1))
            )
          // On the school's lane, which hangs 240 m below the grid: between its ends and beside its middle.
          const lane = { west: 69.2851, south: 41.3094, east: 69.2852, north: 41.3095 }
          assert.deepStrictEqual(yield* names({ bbox: lane }), ["P32"])
          // The main from the hill is 540 m long and bent: it meets a box at its far end too.
          assert.include(
            yield* names({ bbox: { west: 69.2722, south: 41.3125, east: 69.2725, north: 41.3128 } }),
            "P35"
          )
          assert.lengthOf(yield* names({ kind: ["valve"] }), 19)
          assert.deepStrictEqual(yield* names({ q: "v0", kind: ["valve"] }), [
            "V01",
            "V02",
            "V03",
            "V04",
            "V05",
            "V06",
            "V07",
            "V08",
            "V09"
          ])
          const all: Array<string> = []
          let cursor: string | undefined
          do {
            const page: { readonly items: ReadonlyArray<{ readonly id: string }>; readonly cursor?: string } =
              yield* listAssets({}, { cursor, limit: 40 })
            all.push(...page.items.map(({ id }) => id))
            cursor = page.cursor
          } while (cursor !== undefined)
          assert.strictEqual(new Set(all).size, 103)
          assert.lengthOf(all, 103)
        })
      )
    )
  )

  it.effect("the_nearest_is_measured_to_the_line_and_not_to_its_middle", () =>
    inCity((tenantId) =>
      withTenant(tenantId)(
        Effect.gen(function* () {
          yield* bring(town)
          // 30 m east of the lane's lower end.
          const near = yield* nearestAsset({ longitude: 69.28551, latitude: 41.3079 }, { kind: ["pipe"] })
          assert.strictEqual(near?.asset.externalId, "P32")
          assert.closeTo(near!.metres, 30, 2)
          assert.isUndefined(yield* nearestAsset({ longitude: 60, latitude: 41 }, {}))
          const far = yield* nearestAsset({ longitude: 69.31, latitude: 41.31 }, { kind: ["reservoir"] })
          assert.strictEqual(far?.asset.externalId, "RIVER")
        })
      )
    )
  )

  it.effect("closed_by_hand_are_closed_in_the_next_trace", () =>
    inCity((tenantId) =>
      Effect.gen(function* () {
        yield* withTenant(tenantId)(bring(town))
        const { id } = yield* withTenant(tenantId)(named("P32"))
        const plan = withTenant(tenantId)(
          Effect.gen(function* () {
            const { element, graph } = yield* inGraph(id)
            const found = isolate(graph, element)
            return found.close.map((one) => graph.ids[one]!)
          })
        )
        const before = yield* plan
        assert.isAbove(before.length, 1)
        yield* withTenant(tenantId)(changeAsset(before[0]!, { status: "closed" }, 1))
        assert.deepStrictEqual(yield* plan, before.slice(1))
        const conflict = yield* Effect.flip(withTenant(tenantId)(changeAsset(before[0]!, { status: "open" }, 1)))
        assert.strictEqual(conflict._tag, "VersionConflict")
        // In a transaction that rolls back the graph is its own, and nobody else's.
        yield* Effect.ignore(
          withTenant(tenantId)(
            Effect.gen(function* () {
              yield* changeAsset(before[1]!, { status: "closed" }, undefined)
              assert.notInclude(yield* plan, before[1])
              return yield* Effect.fail("no")
            })
          )
        )
        assert.include(yield* plan, before[1])
      })
    )
  )
})
