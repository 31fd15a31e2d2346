/**
 * A migrated database for tests of plugins that carry messages over it: what the engine would give them as `HostDatabase`.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { migrate, type MigrationError } from "../kernel/db/migrate.ts"
import { deriveLogins, ensureRoles, loginUrl, type Logins } from "../kernel/db/roles.ts"
import { kernelMigrations } from "../kernel/migrations.ts"
import type { HostDatabase } from "../plugin/Host.ts"
import { freshDatabase, type FreshDatabase } from "./freshDatabase.ts"

export interface TestHostDatabase extends FreshDatabase {
  /** Log-in of the tenants' role. */
  readonly app: Redacted.Redacted<string>
  readonly host: HostDatabase["Service"]
}

/** Gives a database the kernel's tables and roles; answers with its log-ins. */
export const migrateAll = (owner: Redacted.Redacted<string>): Effect.Effect<Logins, MigrationError> => {
  const logins = deriveLogins(owner, Redacted.make("test"))
  return Effect.as(migrate({ owner, migrations: kernelMigrations, prepare: ensureRoles(logins) }), logins)
}

/**
 * A fresh database with the kernel's tables and roles, until the scope closes.
 *
 * @example const { host } = yield* hostDatabase(inject("postgresUrl"))
 */
export const hostDatabase = (server: string): Effect.Effect<TestHostDatabase, MigrationError, Scope.Scope> =>
  Effect.gen(function* () {
    const fresh = yield* freshDatabase(server)
    const logins = yield* migrateAll(fresh.owner)
    const platform = loginUrl(fresh.owner, logins.platform)
    return {
      ...fresh,
      app: loginUrl(fresh.owner, logins.app),
      host: { platform, listen: platform, pooled: false }
    }
  })
