/**
 * A migrated database for one test file: a copy of a template that the first of them makes, dropped afterwards. For tests of the
 * kernel and of modules, which bring their own migrations.
 */
import { createHash, randomBytes } from "node:crypto"
import pg from "pg"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { type Database, layerDatabase, PlatformTx, withPlatform } from "../kernel/db/Database.ts"
import { migrate, type MigrationError } from "../kernel/db/migrate.ts"
import type { Migration } from "../kernel/db/Migration.ts"
import { deriveLogins, ensureRoles, loginUrl } from "../kernel/db/roles.ts"
import { newId } from "../kernel/ids.ts"
import { mastersOf } from "../kernel/personal/master.ts"
import { layerVault } from "../kernel/personal/Vault.ts"
import { kernelMigrations } from "../kernel/migrations.ts"
import type { Principal } from "../kernel/policy/Principal.ts"
import type { Tenant, TenantSettings } from "../kernel/tenancy/Tenant.ts"

export interface TestKernelOptions {
  /** A superuser's address: `inject("postgresUrl")`. */
  readonly postgresUrl: string
  /** After the kernel's own. Default none. */
  readonly migrations?: ReadonlyArray<Migration>
  /** Connections of the pools together. Default 8. */
  readonly maxConnections?: number
  /** Puts a pooler in transaction mode between: gives its addresses for the server's. Default none. */
  readonly through?: (
    urls: ReadonlyArray<Redacted.Redacted<string>>
  ) => Effect.Effect<ReadonlyArray<Redacted.Redacted<string>>, never, Scope.Scope>
}

/** Where the test's database is; for tests that look past the pools, or start a second server on it. */
export class TestKernel extends Context.Service<
  TestKernel,
  {
    readonly name: string
    readonly admin: Redacted.Redacted<string>
    readonly owner: Redacted.Redacted<string>
    readonly app: Redacted.Redacted<string>
    readonly platform: Redacted.Redacted<string>
  }
>()("@mahalla/testing/TestKernel") {}

// Not secrets: the server is a test's own and listens on this machine only.
const owner = { role: "mahalla_test_owner", password: "mahalla" }
const secret = Redacted.make("mahalla")

const onDatabase = (server: string, database: string): Redacted.Redacted<string> => {
  const url = new URL(server)
  url.pathname = `/${database}`
  return Redacted.make(url.toString())
}

const asAdmin = <A>(server: string, run: (client: pg.Client) => Promise<A>): Effect.Effect<A> =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: server, application_name: "mahalla-test" })
    client.on("error", () => {})
    await client.connect()
    try {
      return await run(client)
    } finally {
      await client.end()
    }
  })

/** Makes the template unless it is there: under another name until it is complete. */
const ensureTemplate = (server: string, migrations: ReadonlyArray<Migration>) => {
  const hash = createHash("sha256")
  for (const entry of migrations) hash.update(`${entry.module}/${entry.id}/${entry.checksum}\n`)
  const name = `template_${hash.digest("hex").slice(0, 16)}`
  // The log-ins bear the template's name and serve its copies too.
  const logins = deriveLogins(loginUrl(onDatabase(server, name), owner), secret)
  const building = `${name}_${randomBytes(4).toString("hex")}`
  const prepare = asAdmin(server, async (client) => {
    const there = async () => (await client.query("select from pg_database where datname = $1", [name])).rowCount !== 0
    if (await there()) return false
    // Roles belong to the whole server, and test files run side by side.
    await client.query("select pg_advisory_lock(hashtextextended('mahalla.test', 0))")
    const { rowCount } = await client.query("select from pg_roles where rolname = $1", [owner.role])
    if (rowCount === 0) await client.query(`create role ${owner.role} login createrole password '${owner.password}'`)
    if (await there()) return false
    await client.query(`create database ${building} owner ${owner.role}`)
    return true
  })
  const finish = asAdmin(server, async (client) => {
    await client.query("select pg_advisory_lock(hashtextextended('mahalla.test', 0))")
    const { rowCount } = await client.query("select from pg_database where datname = $1", [name])
    await client.query(
      rowCount === 0 ? `alter database ${building} rename to ${name}` : `drop database ${building} with (force)`
    )
  })
  const build = migrate({
    owner: loginUrl(onDatabase(server, building), owner),
    migrations,
    prepare: ensureRoles(logins)
  }).pipe(
    Effect.onError(() => asAdmin(server, (client) => client.query(`drop database if exists ${building} with (force)`)))
  )
  return prepare.pipe(
    Effect.flatMap((ours) => (ours ? Effect.andThen(build, finish) : Effect.void)),
    Effect.as({ name, logins })
  )
}

const copyTemplate = (options: TestKernelOptions) =>
  Effect.gen(function* () {
    const server = options.postgresUrl
    const template = yield* ensureTemplate(server, [...kernelMigrations, ...(options.migrations ?? [])])
    const name = `test_${randomBytes(8).toString("hex")}`
    yield* Effect.acquireRelease(
      asAdmin(server, (client) =>
        client.query(`create database ${name} template ${template.name} owner ${owner.role}`)
      ),
      () => asAdmin(server, (client) => client.query(`drop database if exists ${name} with (force)`))
    )
    const ownerUrl = loginUrl(onDatabase(server, name), owner)
    return {
      name,
      admin: onDatabase(server, name),
      owner: ownerUrl,
      app: loginUrl(ownerUrl, template.logins.app),
      platform: loginUrl(ownerUrl, template.logins.platform)
    }
  })

/**
 * The kernel on a fresh, migrated database that goes with the layer.
 *
 * @example layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })("cases", (it) => { … })
 */
export const testKernel = (options: TestKernelOptions): Layer.Layer<Database | TestKernel, MigrationError | SqlError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { app, platform } = yield* TestKernel
      const urls = yield* options.through?.([app, platform]) ?? Effect.succeed([app, platform])
      return layerDatabase({
        app: urls[0]!,
        platform: urls[1]!,
        maxConnections: options.maxConnections ?? 8,
        pooled: options.through !== undefined
      })
    })
  ).pipe(
    // Keys of the test's own; a test about another secret provides its own.
    (database) => Layer.provideMerge(Layer.orDie(layerVault(mastersOf(secret))), database),
    Layer.provideMerge(Layer.effect(TestKernel, copyTemplate(options)))
  )

const settings: TenantSettings = {
  timeZone: "Asia/Tashkent",
  languages: ["uz", "ru", "en"],
  country: "UZ",
  currency: "UZS",
  calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
  corsOrigins: []
}

/** A tenant with sensible settings; give what the test is about. */
export const createTenant = Effect.fnUntraced(function* (
  given: Partial<Omit<Tenant, "settings">> & { readonly settings?: Partial<TenantSettings> } = {}
) {
  const tenantId = given.tenantId ?? (yield* newId)
  const tenant: Tenant = {
    tenantId,
    slug: given.slug ?? `t-${tenantId}`,
    name: given.name ?? "Test city",
    hosts: given.hosts ?? [],
    settings: { ...settings, ...given.settings }
  }
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* sql`
        insert into mahalla.tenant (tenant_id, slug, name, hosts, settings)
        values (${tenantId}, ${tenant.slug}, ${tenant.name}, ${tenant.hosts}::text[],
                ${JSON.stringify(tenant.settings)}::text::jsonb)`
    })
  )
  return tenant
})

/** Somebody in a tenant, with a row of their own and the given roles everywhere in it. */
export const createPrincipal = Effect.fnUntraced(function* (
  tenantId: string,
  given: { readonly kind?: "person" | "staff" | "app" | "device"; readonly roles?: ReadonlyArray<string> } = {}
) {
  const id = yield* newId
  const now = yield* Clock.currentTimeMillis
  const kind = given.kind ?? "person"
  const roles = given.roles ?? []
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* sql`insert into mahalla.principal (tenant_id, id, kind) values (${tenantId}, ${id}, ${kind})`
      for (const role of roles) {
        yield* sql`
          insert into mahalla.role_grant (tenant_id, id, principal_id, role, granted_at)
          values (${tenantId}, ${yield* newId}, ${id}, ${role}, ${new Date(now)})`
      }
    })
  )
  const principal: Principal = {
    id,
    kind,
    tenantId,
    grants: roles.map((role) => ({ role, territoryId: null, until: null }))
  }
  return principal
})
