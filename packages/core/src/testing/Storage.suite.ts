/**
 * What every storage must keep. Rules about content need a layer that also provides `StorageControl`, which runs SQL on it; without it
 * they are left out, with that reason.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdtemp, mkdir, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { Storage, type StorageError } from "../ports/Storage.ts"
import { makeSuite, type Rule } from "./conformance.ts"

type Service = Storage["Service"]

/** A hand on the database, as its owner. */
export class StorageControl extends Context.Service<
  StorageControl,
  {
    /** Runs one statement in the schema `mahalla`, which it makes when absent. */
    readonly sql: (text: string) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>>
  }
>()("@mahalla/testing/StorageControl") {}

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-backup-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

const lacksControl = Effect.map(Effect.serviceOption(StorageControl), (control) =>
  Option.isNone(control) ? "the layer provides no StorageControl" : undefined
)
const control = Effect.flatMap(Effect.serviceOption(StorageControl), Effect.fromOption)

/** A typed refusal with a next step is as good as the deed; nothing else is. */
const orUnsupported = <A, R>(effect: Effect.Effect<A, StorageError, R>) =>
  Effect.catch(effect, (error) =>
    error.reason === "Unsupported" && error.message.length > 40
      ? Effect.succeed("unsupported" as const)
      : Effect.fail(error)
  )

const rules: ReadonlyArray<Rule<Storage, Service>> = [
  {
    name: "names the owner's address and a sane number of connections",
    check: ({ settings }) =>
      Effect.sync(() => {
        assert.match(Redacted.value(settings.owner), /^postgres(ql)?:\/\/./)
        assert.ok(Number.isInteger(settings.maxConnections) && settings.maxConnections >= 4)
        assert.ok(!settings.pooled || settings.direct !== undefined, "a pooled storage must name the server itself")
      })
  },
  {
    name: "keeps addresses out of what is printed",
    check: ({ settings }) =>
      Effect.sync(() => {
        const { password } = new URL(Redacted.value(settings.owner))
        assert.ok(password === "" || !(JSON.stringify(settings) + inspect(settings)).includes(password))
      })
  },
  {
    name: "tells version, size and the time of a round trip",
    check: (storage) =>
      Effect.gen(function* () {
        const { latency, size, version } = yield* storage.health
        assert.match(version, /^\d+(\.\d+)*$/)
        assert.ok(Number(version.split(".")[0]) >= 15, `version ${version}`)
        assert.ok(size > 1_000_000, `size ${size}`)
        assert.ok(latency > 0 && latency < 10_000, `latency ${latency}`)
      })
  },
  {
    name: "brings back what a backup held, and nothing that came later",
    unless: () => lacksControl,
    check: (storage) =>
      Effect.gen(function* () {
        const { sql } = yield* control
        const target = join(yield* folder, "backup")
        const table = `mahalla.t_${randomBytes(6).toString("hex")}`
        yield* sql(`create table ${table} (n integer primary key, text text)`)
        yield* sql(`insert into ${table} select n, repeat('Маҳалла', 20) from generate_series(1, 5000) as n`)
        const made = yield* orUnsupported(storage.backup(target))
        if (made === "unsupported") return
        yield* sql(`delete from ${table} where n > 10`)
        yield* sql(`insert into ${table} values (-1, 'later')`)
        yield* storage.restore(target)
        const [row] = yield* sql(
          `select count(*)::int as amount, min(n)::int as least, bool_and(text = repeat('Маҳалла', 20)) as whole from ${table}`
        )
        assert.deepEqual({ ...row }, { amount: 5000, least: 1, whole: true })
        yield* sql(`insert into ${table} values (-2, 'writable')`)
        yield* storage.health
      })
  },
  {
    name: "makes a consistent backup while others write",
    unless: () => lacksControl,
    check: (storage) =>
      Effect.gen(function* () {
        const { sql } = yield* control
        const target = join(yield* folder, "backup")
        const name = randomBytes(6).toString("hex")
        yield* sql(`create table mahalla.a_${name} (n integer primary key)`)
        yield* sql(`create table mahalla.b_${name} (n integer primary key)`)
        let written = 0
        const writing = yield* Effect.suspend(() => {
          const n = ++written
          // Both rows or none: a copy torn in the middle would show it.
          return sql(
            `with a as (insert into mahalla.a_${name} values (${n})) insert into mahalla.b_${name} values (${n})`
          )
        }).pipe(Effect.forever, Effect.forkScoped)
        yield* Effect.sleep("100 millis")
        const before = written - 1
        const made = yield* orUnsupported(storage.backup(target))
        writing.interruptUnsafe()
        yield* Effect.sleep("100 millis")
        if (made === "unsupported") return
        yield* storage.restore(target)
        const [row] = yield* sql(
          `select count(a.n)::int as both, count(*)::int as either from mahalla.a_${name} a full join mahalla.b_${name} b using (n)`
        )
        assert.equal(row?.["both"], row?.["either"])
        assert.ok(
          Number(row?.["both"]) >= before,
          `${String(row?.["both"])} rows, ${before} were there before the backup began`
        )
      })
  },
  {
    name: "refuses to back up into a folder that holds something",
    check: (storage) =>
      Effect.gen(function* () {
        const target = yield* folder
        yield* Effect.promise(() => writeFile(join(target, "mine"), "precious"))
        const error = yield* Effect.flip(storage.backup(target))
        assert.equal(error.retryable, false)
        assert.deepEqual(yield* Effect.promise(() => readdir(target)), ["mine"])
      })
  },
  {
    name: "refuses to restore from what is no whole backup, and keeps what there is",
    unless: () => lacksControl,
    check: (storage) =>
      Effect.gen(function* () {
        const { sql } = yield* control
        const table = `mahalla.t_${randomBytes(6).toString("hex")}`
        yield* sql(`create table ${table} as select 1 as n`)
        const empty = yield* folder
        const half = join(yield* folder, "half")
        yield* Effect.promise(() => mkdir(join(half, "data"), { recursive: true }))
        for (const target of [empty, half, join(empty, "absent")])
          assert.equal((yield* Effect.flip(storage.restore(target))).retryable, false)
        assert.equal((yield* sql(`select n from ${table}`)).length, 1)
      })
  }
]

/** The rules of the Storage port. */
export const storageSuite = makeSuite("Storage", Storage, rules)
