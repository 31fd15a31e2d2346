/**
 * The three database roles. `owner` migrates; `app` logs in, owns nothing and sees one tenant at a time; `platform` serves the listed
 * cross-tenant work. Rights and policies hang on two roles without log-in, so that each database has log-ins of its own.
 *
 * Where the owner may not create roles, an administrator runs `rolesScript` once and gives the two log-ins in the configuration.
 */
import { createHash, createHmac } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { MigrationError } from "./migrate.ts"

type Query = <A>(text: string, values?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<A>, MigrationError>

export interface Login {
  readonly role: string
  readonly password: string
}

export interface Logins {
  readonly app: Login
  readonly platform: Login
}

/** Bytes: PostgreSQL cuts names at 63 without a word, and two databases would share what is left. */
const longestStem = 63 - "_platform_login".length

const hashOf = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 24)

/** Log-ins of a database, the same in every server that holds the deployment's secret. */
export const deriveLogins = (owner: Redacted.Redacted<string>, secret: Redacted.Redacted<string>): Logins => {
  const database = decodeURIComponent(new URL(Redacted.value(owner)).pathname.slice(1))
  const stem = Buffer.byteLength(database) <= longestStem ? database : `mahalla_${hashOf(database)}`
  const login = (suffix: string): Login => {
    const role = `${stem}_${suffix}_login`
    return {
      role,
      password: createHmac("sha256", Redacted.value(secret)).update(`postgres:${role}`).digest("base64url")
    }
  }
  return { app: login("app"), platform: login("platform") }
}

/** The owner's address with another log-in. */
export const loginUrl = (owner: Redacted.Redacted<string>, login: Login): Redacted.Redacted<string> => {
  const url = new URL(Redacted.value(owner))
  url.username = encodeURIComponent(login.role)
  url.password = encodeURIComponent(login.password)
  return Redacted.make(url.toString())
}

/** What an administrator runs where the owner lacks CREATEROLE. */
export const rolesScript = (
  database: string,
  owner: string,
  logins: Logins
): string => `create role mahalla_app nologin;
create role mahalla_platform nologin;
grant mahalla_platform to "${owner}";
create role "${logins.app.role}" login password '…' in role mahalla_app;
create role "${logins.platform.role}" login password '…' in role mahalla_platform;
revoke connect on database "${database}" from public;
grant connect on database "${database}" to "${logins.app.role}", "${logins.platform.role}";`

const quote = (identifier: string) => `"${identifier.replaceAll('"', '""')}"`
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`

/**
 * Creates what is missing and sets the passwords. `logins` undefined: only checks that the two group roles are there. `refused`: the database
 * did not let these log-ins in; then the passwords are of another secret, and are not taken away from a server that works with it.
 */
export const ensureRoles = (logins: Logins | undefined, refused = false) =>
  Effect.fn("ensureRoles")(function* (query: Query) {
    const [me] = yield* query<{ createrole: boolean; database: string; name: string }>(
      "select rolcreaterole or rolsuper as createrole, current_database() as database, current_user as name from pg_roles where rolname = current_user"
    )
    const wanted = [
      "mahalla_app",
      "mahalla_platform",
      ...(logins === undefined ? [] : [logins.app.role, logins.platform.role])
    ]
    const rows = yield* query<{ rolname: string }>("select rolname from pg_roles where rolname = any ($1)", [wanted])
    const there = new Set(rows.map((row) => row.rolname))
    const missing = wanted.filter((name) => !there.has(name))
    if (me?.createrole !== true) {
      if (missing.length === 0) return
      return yield* new MigrationError({
        reason: "Failed",
        message:
          `The database role ${me?.name} may not create roles, and ${missing.join(", ")} do not exist. Let an administrator run:\n\n` +
          `${rolesScript(me?.database ?? "", me?.name ?? "", logins ?? { app: { role: "…_app_login", password: "" }, platform: { role: "…_platform_login", password: "" } })}\n\n` +
          "then give both log-ins as appUrl and platformUrl of the postgres plugin."
      })
    }
    if (refused && logins !== undefined) {
      const others = yield* query<{ pid: number }>(
        "select pid from pg_stat_activity where datname = current_database() and usename = any ($1)",
        [[logins.app.role, logins.platform.role]]
      )
      if (others.length > 0) {
        return yield* new MigrationError({
          reason: "Failed",
          message: `Another server works on the database ${me.database} with another secret. Give this process the same MAHALLA_SECRET (or the same secret file in MAHALLA_HOME), or stop the other one first.`
        })
      }
    }
    for (const group of ["mahalla_app", "mahalla_platform"]) {
      // Roles belong to the whole server: another database may create them at the same moment.
      if (!there.has(group)) {
        yield* query(
          `do $$ begin create role ${group} nologin; exception when duplicate_object or unique_violation then null; end $$`
        )
      }
    }
    // Definer functions run as the owner, and policies name mahalla_platform.
    yield* query(`grant mahalla_platform to current_user`)
    if (logins === undefined) return
    for (const [group, login] of [
      ["mahalla_app", logins.app],
      ["mahalla_platform", logins.platform]
    ] as const) {
      // Who is no superuser may not even repeat that a role is none: `alter` leaves alone what `create` has settled.
      yield* query(
        there.has(login.role)
          ? `alter role ${quote(login.role)} login password ${literal(login.password)}`
          : `create role ${quote(login.role)} login nosuperuser nobypassrls inherit password ${literal(login.password)}`
      )
      yield* query(`grant ${group} to ${quote(login.role)}`)
      yield* query(`grant connect on database ${quote(me.database)} to ${quote(login.role)}`)
    }
    yield* query(`revoke connect on database ${quote(me.database)} from public`)
  })
