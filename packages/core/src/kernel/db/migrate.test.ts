import pg from "pg"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { assert, describe, it } from "@effect/vitest"
import { inject } from "vitest"
import { freshDatabase } from "../../testing/freshDatabase.ts"
import { kernelMigrations } from "../migrations.ts"
import { compareMigrations, migrate, type MigrationError } from "./migrate.ts"
import { migration } from "./Migration.ts"
import { deriveLogins, ensureRoles } from "./roles.ts"

const one = migration("a", "0001_one.sql", "create table mahalla.one (n int)")
const two = migration("a", "0002_two.sql", "create table mahalla.two (n int)")
const other = migration("b", "0001_other.sql", "create table mahalla.other (n int)")
const row = (entry: typeof one, change: Partial<typeof one> = {}) => ({ ...entry, ...change })

describe("compareMigrations", () => {
  const known = [one, two, other]
  const cases: ReadonlyArray<
    readonly [
      name: string,
      applied: ReadonlyArray<typeof one>,
      pending: ReadonlyArray<string> | MigrationError["reason"],
      unknown?: ReadonlyArray<string>
    ]
  > = [
    ["an empty database needs all", [], ["one", "two", "other"]],
    ["a full one nothing", known, []],
    ["one in between what is missing", [one, other], ["two"]],
    ["a module that is new to it", [one, two], ["other"]],
    ["a changed text is refused", [row(one, { checksum: "0" }), two, other], "Changed"],
    ["a newer compatible step is let be", [...known, row(two, { id: 3, name: "three" })], [], ["a/0003"]],
    ["a newer breaking one is refused", [...known, row(two, { id: 3, breaking: true })], "SchemaTooNew"],
    ["a breaking step of an unknown module too", [...known, row(one, { module: "z", breaking: true })], "SchemaTooNew"],
    ["a known breaking one is no stranger", [row(one, { breaking: true }), two, other], []],
    ["too new goes before changed", [row(one, { checksum: "0" }), row(two, { id: 9, breaking: true })], "SchemaTooNew"]
  ]
  for (const [name, applied, expected, unknown = []] of cases)
    it.effect(name, () =>
      Effect.gen(function* () {
        const result = yield* Effect.result(compareMigrations(known, applied))
        if (typeof expected === "string") {
          assert.strictEqual(result._tag === "Failure" && result.failure.reason, expected)
        } else {
          assert.deepStrictEqual(result._tag === "Success" && result.success.pending.map((entry) => entry.name), [
            ...expected
          ])
          assert.deepStrictEqual(result._tag === "Success" && result.success.unknown, unknown)
        }
      })
    )
})

describe("migration files", () => {
  it("say_their_number_and_whether_they_break", () => {
    assert.deepInclude(migration("a", "0012_some-step.breaking.sql", "x"), {
      id: 12,
      name: "some-step",
      breaking: true
    })
    for (const file of ["1_x.sql", "0001.sql", "0001_X.sql", "0001_x.txt", "0001_x.Breaking.sql"])
      assert.throws(() => migration("a", file, ""), /must be named like/)
  })
})

const secret = Redacted.make("a secret for the tests of migration")
const rows = <A extends object>(url: Redacted.Redacted<string>, text: string) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: Redacted.value(url) })
    await client.connect()
    const found = await client.query<A & pg.QueryResultRow>(text)
    await client.end()
    return found.rows as ReadonlyArray<A>
  })

describe("migrate", () => {
  const options = (owner: Redacted.Redacted<string>, more: ReadonlyArray<typeof one> = []) => ({
    owner,
    migrations: [...kernelMigrations, ...more],
    prepare: ensureRoles(deriveLogins(owner, secret))
  })
  const count = (entry: string) =>
    migration(
      "a",
      "0001_count.sql",
      `create table mahalla.counted (n int); insert into mahalla.counted values (1); ${entry}`
    )

  it.live("is_done_once_by_servers_that_start_together", () =>
    Effect.gen(function* () {
      const { admin, owner } = yield* freshDatabase(inject("postgresUrl"))
      const racing = yield* Effect.all(
        Array.from({ length: 3 }, () => migrate(options(owner, [count("")]))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        racing.map(({ applied }) => applied.length).toSorted((a, b) => a - b),
        [0, 0, kernelMigrations.length + 1]
      )
      assert.deepStrictEqual(yield* rows(admin, "select n from mahalla.counted"), [{ n: 1 }])
      assert.deepStrictEqual(yield* migrate(options(owner)), { applied: [], unknown: ["a/0001"] })
    }).pipe(Effect.scoped)
  )

  it.live("leaves_nothing_of_a_step_that_fails_and_goes_on_from_there", () =>
    Effect.gen(function* () {
      const { admin, owner } = yield* freshDatabase(inject("postgresUrl"))
      const failed = yield* Effect.exit(migrate(options(owner, [count("select 1 / 0")])))
      assert.isTrue(Exit.isFailure(failed))
      assert.match(JSON.stringify(failed), /a\/0001_count failed and was rolled back.*division by zero/)
      assert.deepStrictEqual(yield* rows(admin, "select to_regclass('mahalla.counted') as found"), [{ found: null }])
      const { applied } = yield* migrate(options(owner, [count("")]))
      assert.deepStrictEqual(
        applied.map((entry) => entry.name),
        ["count"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("refuses_a_changed_text_and_a_schema_that_is_too_new_without_touching_anything", () =>
    Effect.gen(function* () {
      const { admin, owner } = yield* freshDatabase(inject("postgresUrl"))
      yield* migrate(options(owner, [count("")]))
      const changed = yield* Effect.flip(migrate(options(owner, [count("select 1"), two])))
      assert.deepInclude(changed, { reason: "Changed" })
      assert.match(changed.message, /a\/0001_count was applied with another text/)
      yield* rows(admin, "insert into mahalla.migration values ('future', 1, 'x', true, 'c')")
      const tooNew = yield* Effect.flip(migrate(options(owner, [count(""), two])))
      assert.deepInclude(tooNew, { reason: "SchemaTooNew" })
      assert.match(tooNew.message, /future\/0001.*Start the newer version/)
      assert.deepStrictEqual(yield* rows(admin, "select to_regclass('mahalla.two') as found"), [{ found: null }])
    }).pipe(Effect.scoped)
  )

  it.live("says_what_to_check_when_there_is_no_database", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(migrate(options(Redacted.make("postgres://x:secret@127.0.0.1:1/none"))))
      assert.strictEqual(error.reason, "Unavailable")
      assert.match(error.message, /Check that it runs and that DATABASE_URL is right/)
      assert.notInclude(error.message, "secret")
    })
  )
})
