/** A database that a city has migrated and left, made once for all kits of a run: migrating takes longer than everything else in a kit's start. */
import { createHash, randomBytes } from "node:crypto"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import pg from "pg"

const packages = join(import.meta.dirname, "../../..")

/** Names all migrations that there are, so that a server that stays keeps one template for each state of them. */
const nameOf = () => {
  const hash = createHash("sha256")
  for (const file of globSync("**/src/**/migrations/*.sql", { cwd: packages }).toSorted()) {
    hash.update(file)
    hash.update(readFileSync(join(packages, file)))
  }
  return `template_city_${hash.digest("hex").slice(0, 16)}`
}

/** The template's name; `migrate` starts a city on an address and stops it. */
export const cityTemplate = async (postgresUrl: string, migrate: (owner: string) => Promise<void>): Promise<string> => {
  const name = nameOf()
  const client = new pg.Client({ connectionString: postgresUrl })
  client.on("error", () => {})
  await client.connect()
  try {
    const there = async () => (await client.query("select from pg_database where datname = $1", [name])).rowCount !== 0
    if (await there()) return name
    // Test files run side by side.
    await client.query("select pg_advisory_lock(hashtextextended('mahalla.test.city', 0))")
    if (await there()) return name
    const build = Effect.gen(function* () {
      const { name: database, owner } = yield* freshDatabase(postgresUrl)
      yield* Effect.promise(() => migrate(Redacted.value(owner)))
      const half = `${name}_${randomBytes(4).toString("hex")}`
      yield* Effect.promise(() => client.query(`create database ${half} template ${database}`))
      yield* Effect.promise(() => client.query(`alter database ${half} rename to ${name}`))
    })
    await Effect.runPromise(Effect.scoped(build))
    return name
  } finally {
    await client.end()
  }
}
