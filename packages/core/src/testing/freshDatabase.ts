/**
 * An empty database for one test or one test file, dropped afterwards.
 */
import { randomBytes } from "node:crypto"
import pg from "pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"

export interface FreshDatabase {
  readonly name: string
  /** A superuser, on this database. */
  readonly admin: Redacted.Redacted<string>
  /** The role that owns this database: may create roles, is no superuser. As the engine's `owner`. */
  readonly owner: Redacted.Redacted<string>
}

const ownerRole = "mahalla_test_owner"
// Not a secret: the server is a test's own and listens on this machine only.
const ownerPassword = "mahalla"

const address = (server: string, database: string, login?: { readonly user: string; readonly password: string }) => {
  const url = new URL(server)
  url.pathname = `/${database}`
  if (login !== undefined) {
    url.username = login.user
    url.password = login.password
  }
  return Redacted.make(url.toString())
}

const asAdmin = (server: string, run: (client: pg.Client) => Promise<void>): Effect.Effect<void> =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: server, application_name: "mahalla-test" })
    client.on("error", () => {})
    await client.connect()
    try {
      await run(client)
    } finally {
      await client.end()
    }
  })

/**
 * Creates a database on the server of a superuser's address and drops it, with its log-ins `<name>_…`, when the scope closes. `template`: the name of
 * one that it is a copy of; default, an empty one.
 *
 * @example const { owner } = yield* freshDatabase(inject("postgresUrl"))
 */
export const freshDatabase = (server: string, template?: string): Effect.Effect<FreshDatabase, never, Scope.Scope> => {
  const name = `test_${randomBytes(8).toString("hex")}`
  return Effect.as(
    Effect.acquireRelease(
      asAdmin(server, async (client) => {
        // Roles belong to the whole server, and test files run side by side.
        await client.query("select pg_advisory_lock(hashtextextended('mahalla.test', 0))")
        const { rowCount } = await client.query("select from pg_roles where rolname = $1", [ownerRole])
        if (rowCount === 0) await client.query(`create role ${ownerRole} login createrole password '${ownerPassword}'`)
        const from = template === undefined ? "" : `template ${template}`
        await client.query(`create database ${name} ${from} owner ${ownerRole}`)
      }),
      () =>
        asAdmin(server, async (client) => {
          await client.query(`drop database if exists ${name} with (force)`)
          const { rows } = await client.query<{ rolname: string }>(
            "select rolname from pg_roles where starts_with(rolname, $1)",
            [`${name}_`]
          )
          for (const { rolname } of rows) await client.query(`drop role if exists "${rolname}"`)
        })
    ),
    {
      name,
      admin: address(server, name),
      owner: address(server, name, { user: ownerRole, password: ownerPassword })
    }
  )
}
