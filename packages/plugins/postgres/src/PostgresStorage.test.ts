import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Host, Storage } from "@mahalla/core/plugin"
import { migrateAll, StorageControl, storageSuite } from "@mahalla/core/testing"
import { assert } from "@effect/vitest"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterAll, describe, inject, it } from "vitest"
import { layerStorage } from "./PostgresStorage.ts"
import { lacksOutside, outside } from "./test/outside.ts"

const home = mkdtempSync(join(tmpdir(), "mahalla-storage-"))
const scope = Effect.runSync(Scope.make())
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true })
})
const host = Layer.succeed(Host, { instance: "postgres", home, scratch: home, mode: "dev" })

/** Opened once for the file; each rule finds it running. */
const open = (config: Parameters<typeof layerStorage>[0]) =>
  Effect.runPromise(Layer.buildWithScope(layerStorage(config).pipe(Layer.provide(host)), scope))
const query = (url: Redacted.Redacted<string>, text: string) =>
  Effect.scoped(
    Effect.map(
      Effect.flatMap(PgConnection.make({ url }), (connection) => connection.query(text)),
      ({ rows }) => rows
    )
  )

const control = Layer.effect(
  StorageControl,
  Effect.map(Storage, ({ settings: { owner } }) => ({
    sql: (text: string) =>
      Effect.andThen(query(owner, "create schema if not exists mahalla"), query(owner, text)).pipe(Effect.orDie)
  }))
)
const suite = (name: string, storage: Context.Context<Storage>) =>
  storageSuite.run({ describe, it }, { name, layer: Layer.provideMerge(control, Layer.succeedContext(storage)) })

suite("embedded", await open({}))

if (lacksOutside !== undefined) console.info(`Storage on an outside server is left out: ${lacksOutside}`)
const ofDistribution = lacksOutside === undefined ? await Effect.runPromise(Scope.provide(outside, scope)) : undefined
const onOutside = ofDistribution === undefined ? undefined : await open({ url: ofDistribution.owner })
if (onOutside !== undefined) suite("outside", onOutside)

it.skipIf(onOutside === undefined)("backs_up_and_restores_a_whole_city_on_an_outside_server", async () => {
  if (ofDistribution === undefined || onOutside === undefined) return
  const { owner } = ofDistribution
  const { backup, restore } = Context.get(onOutside, Storage)
  const target = join(home, "city")
  const tenant = "0198f3a2-7c44-7000-8000-000000000001"
  const work = Effect.gen(function* () {
    yield* query(owner, "drop schema if exists mahalla cascade")
    yield* migrateAll(owner)
    yield* query(
      owner,
      `insert into mahalla.job (tenant_id, id, topic, body) select '${tenant}', gen_random_uuid(), 'a.b', '{}' from generate_series(1, 100)`
    )
    yield* query(
      owner,
      `insert into mahalla.event (tenant_id, id, type, payload, occurred_at) select '${tenant}', gen_random_uuid(), 'a.b', '{}', now() from generate_series(1, 100)`
    )
    yield* backup(target)
    yield* query(owner, "delete from mahalla.job")
    yield* query(owner, "drop table mahalla.event cascade")
    yield* restore(target)
    return yield* query(
      owner,
      `select (select count(*)::int from mahalla.job) as jobs, (select count(*)::int from mahalla.event) as events,
         (select bool_and(relrowsecurity and relforcerowsecurity) from pg_class where oid in ('mahalla.job'::regclass, 'mahalla.event'::regclass)) as guarded`
    )
  })
  assert.deepStrictEqual(await Effect.runPromise(work), [{ jobs: 100, events: 100, guarded: true }])
})

describe("an outside server that cannot be used", () => {
  const refused = async (config: Parameters<typeof layerStorage>[0]) =>
    Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(layerStorage(config).pipe(Layer.provide(host))))))
  const changed = (change: (url: URL) => void) => {
    const url = new URL(inject("postgresUrl"))
    change(url)
    return Redacted.make(url.toString())
  }

  it("says_what_is_wrong_and_never_the_password", async () => {
    const { password } = new URL(inject("postgresUrl"))
    for (const [reason, config] of [
      ["Unauthorized", { url: changed((url) => (url.password = "wrong-word")) }],
      ["Unavailable", { url: changed((url) => (url.port = "1")) }],
      ["Unavailable", { url: changed((url) => (url.pathname = "/nowhere")) }],
      ["Unavailable", { url: Redacted.make(`mysql://u:${password}@h/d`) }],
      ["Unsupported", { url: changed(() => undefined), pooled: true }]
    ] as const) {
      const error = await refused(config)
      assert.strictEqual(error.reason, reason, error.message)
      assert.notInclude(error.message, "wrong-word")
      if (password !== "") assert.notInclude(error.message, password)
    }
  })

  it("tells_which_tool_makes_a_backup_when_pg_dump_is_too_old", async () => {
    const storage = Context.get(await open({ url: changed(() => undefined) }), Storage)
    const result = await Effect.runPromise(Effect.result(storage.backup(join(home, "new-server"))))
    if (result._tag === "Success") return
    assert.strictEqual(result.failure.reason, "Unsupported")
    assert.match(result.failure.message, /pg_dump of version 1\d or newer .* postgresql-client-1\d/)
  })
})
