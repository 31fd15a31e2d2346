import { mkdir, readFile, readdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import pg from "pg"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { describe, expect, inject, it } from "vitest"
import { Storage, StorageError } from "../ports/Storage.ts"
import { freshDatabase } from "./freshDatabase.ts"
import { StorageControl, storageSuite } from "./Storage.suite.ts"

const refuse = (operation: string, message: string, cause?: unknown) =>
  new StorageError({ reason: "Unsupported", operation, subject: "", message, retryable: false, cause })

/** The smallest storage that keeps the promises: a backup is a copy of the schema's tables beside them. */
const small = Layer.effectContext(
  Effect.gen(function* () {
    const { owner } = yield* freshDatabase(inject("postgresUrl"))
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const opened = new pg.Pool({ connectionString: Redacted.value(owner), max: 4 })
        // `end` does not wait for the sockets: the database may be dropped before they are closed.
        return opened.on("error", () => {})
      }),
      (open) => Effect.promise(() => open.end())
    )
    const run = async (text: string) => (await pool.query<Record<string, unknown>>(text)).rows
    const tables = async (client: Pick<pg.ClientBase, "query">, schema: string) =>
      (
        await client.query<{ name: string }>(
          "select relname::text as name from pg_class where relkind = 'r' and relnamespace = $1::regnamespace",
          [schema]
        )
      ).rows.map(({ name }) => name)
    yield* Effect.promise(() => run("create schema mahalla"))
    const attempt = (operation: string, work: () => Promise<void>) =>
      Effect.tryPromise({
        try: work,
        catch: (cause) => (cause instanceof StorageError ? cause : refuse(operation, String(cause), cause))
      })
    const storage = Storage.of({
      settings: { owner, pooled: false, maxConnections: 4, embedded: false },
      health: Effect.promise(async () => {
        const from = performance.now()
        const [row] = await run(
          "select current_setting('server_version') as version, pg_database_size(current_database())::int8 as size"
        )
        return { version: String(row?.["version"]), size: Number(row?.["size"]), latency: performance.now() - from }
      }),
      backup: (directory) =>
        attempt("backup", async () => {
          await mkdir(directory, { recursive: true })
          if ((await readdir(directory)).length > 0) throw refuse("backup", "The folder is not empty. Name a new one.")
          const copy = `copy_${crypto.randomUUID().slice(0, 8)}`
          const client = await pool.connect()
          await client.query("begin isolation level repeatable read")
          await client.query(`create schema ${copy}`)
          for (const name of await tables(client, "mahalla"))
            await client.query(`create table ${copy}.${name} as table mahalla.${name}`)
          await client.query("commit")
          client.release()
          await writeFile(join(directory, "copy"), copy)
        }),
      restore: (directory) =>
        attempt("restore", async () => {
          const copy = await readFile(join(directory, "copy"), "utf8")
          await run("drop schema mahalla cascade; create schema mahalla")
          for (const name of await tables(pool, copy))
            await run(`create table mahalla.${name} as table ${copy}.${name}`)
        })
    })
    const sql = (text: string) => Effect.promise(() => run(text))
    return Context.make(Storage, storage).pipe(Context.add(StorageControl, { sql }))
  })
)

storageSuite.run({ describe, it }, { name: "small", layer: small })

type Service = Storage["Service"]
type Break = (service: Service, sql: StorageControl["Service"]["sql"]) => Partial<Service>

const broken = (spoil: Break) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* Storage
      const control = yield* StorageControl
      return Context.make(Storage, Storage.of({ ...service, ...spoil(service, control.sql) })).pipe(
        Context.add(StorageControl, control)
      )
    })
  ).pipe(Layer.provide(small))

const breaks: Record<string, Break> = {
  "names the owner's address and a sane number of connections": ({ settings }) => ({
    settings: { ...settings, pooled: true }
  }),
  "keeps addresses out of what is printed": ({ settings }) => ({
    settings: { ...settings, url: Redacted.value(settings.owner) } as Service["settings"]
  }),
  "tells version, size and the time of a round trip": ({ health }) => ({
    health: Effect.map(health, (told) => ({ ...told, version: "PostgreSQL eighteen" }))
  }),
  "brings back what a backup held, and nothing that came later": () => ({ restore: () => Effect.void }),
  // One table after the other, each as it is at that moment.
  "makes a consistent backup while others write": ({ backup }, sql) => ({
    backup: (directory) =>
      Effect.gen(function* () {
        yield* backup(directory)
        const copy = yield* Effect.promise(() => readFile(join(directory, "copy"), "utf8"))
        yield* Effect.sleep("100 millis")
        const rows = yield* sql(
          `select relname::text as name from pg_class where relkind = 'r' and relnamespace = '${copy}'::regnamespace`
        )
        const [later] = rows.map(({ name }) => String(name)).filter((name) => name.startsWith("b_"))
        if (later !== undefined) {
          yield* sql(`truncate ${copy}.${later}`)
          yield* sql(`insert into ${copy}.${later} table mahalla.${later}`)
        }
      })
  }),
  "refuses to back up into a folder that holds something": ({ backup }) => ({
    backup: (directory) => backup(join(directory, "inside"))
  }),
  "refuses to restore from what is no whole backup, and keeps what there is": ({ restore }, sql) => ({
    restore: (directory) => Effect.andThen(sql("drop schema mahalla cascade"), restore(directory))
  })
}

describe("Storage: a broken fake for each rule", () => {
  it("covers every rule", () => {
    expect(Object.keys(breaks).sort()).toEqual(storageSuite.rules.map(({ name }) => name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it(`${rule}`, async () => {
      expect(await storageSuite.verdict(rule, broken(spoil))).toBe("broken")
    })
})
