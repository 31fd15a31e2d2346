/**
 * What the database itself says about the second wall: every table of tenants' rows stands behind row-level security, and nobody has rights or
 * functions that lead around it. Reads the catalogue, so a table that is added tomorrow is judged too.
 */
import pg from "pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { assert, describe, layer } from "@effect/vitest"
import { inject } from "vitest"
import { readMigration } from "../db/Migration.ts"
import { TestKernel, testKernel } from "../../testing/kernel.ts"

const modules = ["identity", "payouts", "reports", "notifications"].map((name) =>
  readMigration(name, new URL(`../../modules/${name}/migrations/0001_${name}.sql`, import.meta.url))
)

/** The whole list; see docs and 0001_kernel.sql. */
const withoutTenant = ["case_type", "lease", "master_key", "migration", "schedule"]

/** Each of them was read by somebody else than its author: bounded to the tenant it is given, or to no rows at all. */
const definers = ["ensure_event_partitions", "keep_balances", "principal_of", "search_cases"]

interface Table {
  readonly name: string
  readonly partition: boolean
  readonly tenant: boolean
  readonly enabled: boolean
  readonly forced: boolean
}

interface Wall {
  readonly table: string
  readonly policy: string
  readonly command: string
  readonly roles: ReadonlyArray<string>
  readonly using: string | null
  readonly check: string | null
}

const rows = async <A extends object>(client: pg.Client, text: string) =>
  (await client.query<A & pg.QueryResultRow>(text)).rows as ReadonlyArray<A>

/** Every hole in the wall, in words; none when it is whole. */
const holes = async (client: pg.Client): Promise<ReadonlyArray<string>> => {
  const tables = await rows<Table>(
    client,
    `select c.relname as name, c.relispartition as partition, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
            exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as tenant
     from pg_class c where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') order by 1`
  )
  const walls = await rows<Wall>(
    client,
    `select tablename as "table", policyname as policy, cmd as command, roles::text[] as roles, qual as using, with_check as check
     from pg_policies where schemaname = 'mahalla'`
  )
  const found: Array<string> = []
  for (const table of tables) {
    if (!table.tenant) {
      if (!withoutTenant.includes(table.name)) found.push(`${table.name} has no tenant_id and is not on the list`)
      continue
    }
    if (!table.enabled) found.push(`${table.name}: row-level security is off`)
    if (!table.forced) found.push(`${table.name}: row-level security is not forced`)
    // Partitions are reached through their parent; only the platform, which looks after them, may go to them directly.
    const expected = table.partition ? ["platform_rows"] : ["platform_rows", "tenant_rows"]
    const own = walls.filter((wall) => wall.table === table.name)
    if (
      own
        .map((wall) => wall.policy)
        .sort()
        .join() !== expected.join()
    )
      found.push(`${table.name} has the policies ${own.map((wall) => wall.policy).join(", ") || "none"}`)
    for (const { check, command, policy, roles, using } of own) {
      const bound = "(tenant_id = ( SELECT mahalla.current_tenant() AS current_tenant))"
      const role = policy === "tenant_rows" ? "mahalla_app" : "mahalla_platform"
      if (roles.join() !== role) found.push(`${table.name}.${policy} is for ${roles.join(", ")}`)
      if (command !== "ALL") found.push(`${table.name}.${policy} is for ${command} only`)
      for (const clause of [using, check])
        if (clause !== (policy === "tenant_rows" ? bound : "true"))
          found.push(`${table.name}.${policy} asks for ${clause}`)
    }
  }
  const grants = await rows<{ what: string; kind: string }>(
    client,
    `select c.relname as what, g.privilege_type as kind from pg_class c, aclexplode(c.relacl) g
     where c.relnamespace = 'mahalla'::regnamespace and g.grantee = 0
     union all
     select a.attrelid::regclass::text || '.' || a.attname, g.privilege_type from pg_attribute a join pg_class c on c.oid = a.attrelid,
       aclexplode(a.attacl) g where c.relnamespace = 'mahalla'::regnamespace and g.grantee = 0
     union all
     select nspname, g.privilege_type from pg_namespace n, aclexplode(n.nspacl) g where nspname = 'mahalla' and g.grantee = 0`
  )
  for (const { kind, what } of grants) found.push(`everybody may ${kind} ${what}`)
  const logins = await rows<{ what: string; kind: string; grantee: string }>(
    client,
    `select c.relname as what, g.privilege_type as kind, r.rolname as grantee from pg_class c, aclexplode(c.relacl) g
       join pg_roles r on r.oid = g.grantee
     where c.relnamespace = 'mahalla'::regnamespace and r.rolname not in ('mahalla_app', 'mahalla_platform') and g.grantee <> c.relowner`
  )
  for (const { grantee, kind, what } of logins) found.push(`${grantee} may ${kind} ${what}`)
  const truncates = await rows<{ what: string }>(
    client,
    `select c.relname as what from pg_class c where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p')
       and (has_table_privilege('mahalla_app', c.oid, 'truncate') or has_table_privilege('mahalla_app', c.oid, 'references')
         or has_table_privilege('mahalla_app', c.oid, 'trigger') or has_table_privilege('mahalla_platform', c.oid, 'truncate'))`
  )
  // Policies do not hold TRUNCATE.
  for (const { what } of truncates) found.push(`${what} may be emptied or hung a trigger on`)
  const functions = await rows<{ name: string; path: string | null; everybody: boolean; definer: boolean }>(
    client,
    `select p.proname as name, p.prosecdef as definer,
            (select substr(option, 13) from unnest(p.proconfig) option where starts_with(option, 'search_path=')) as path,
            has_function_privilege('public', p.oid, 'execute') as everybody
     from pg_proc p where p.pronamespace = 'mahalla'::regnamespace`
  )
  for (const { definer, everybody, name, path } of functions) {
    if (!definer) continue
    if (!definers.includes(name)) found.push(`${name} runs as its owner and is not on the list`)
    if (path !== "pg_catalog, mahalla") found.push(`${name} runs as its owner with the search path ${path}`)
    if (everybody) found.push(`everybody may run ${name}`)
  }
  const roles = await rows<{ name: string }>(
    client,
    `select rolname as name from pg_roles where (rolname in ('mahalla_app', 'mahalla_platform') or rolname ~ '_(app|platform)_login$')
       and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)`
  )
  for (const { name } of roles) found.push(`the role ${name} may walk around policies`)
  const owned = await rows<{ name: string }>(
    client,
    `select c.relname as name from pg_class c join pg_roles r on r.oid = c.relowner where c.relnamespace = 'mahalla'::regnamespace
       and (r.rolname in ('mahalla_app', 'mahalla_platform') or r.rolname ~ '_(app|platform)_login$')`
  )
  for (const { name } of owned) found.push(`${name} belongs to a role that serves requests`)
  const views = await rows<{ name: string }>(
    client,
    `select relname as name from pg_class where relnamespace = 'mahalla'::regnamespace and relkind in ('v', 'm', 'f')`
  )
  // A view asks with its owner's rights.
  for (const { name } of views) found.push(`${name} is a view: it would be read with its owner's rights`)
  return found
}

const withClient = <A>(url: Redacted.Redacted<string>, use: (client: pg.Client) => Promise<A>) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: Redacted.value(url) })
    await client.connect()
    try {
      return await use(client)
    } finally {
      await client.end()
    }
  })

/** Does something to the database, looks for holes, and takes it back. */
const spoiled = async (client: pg.Client, text: string) => {
  await client.query("begin")
  await client.query(text)
  const found = await holes(client)
  await client.query("rollback")
  return found
}

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: modules }), { excludeTestServices: true })(
  "the second wall",
  (it) => {
    it.effect("has_no_hole", () =>
      Effect.gen(function* () {
        const { admin } = yield* TestKernel
        assert.deepStrictEqual(yield* withClient(admin, holes), [])
      })
    )

    it.effect("is_seen_to_have_one_when_anything_is_taken_away", () =>
      Effect.gen(function* () {
        const { admin } = yield* TestKernel
        const cases: ReadonlyArray<readonly [string, RegExp]> = [
          ["drop policy tenant_rows on mahalla.civic_case", /civic_case has the policies platform_rows/],
          ["drop policy platform_rows on mahalla.event", /event has the policies tenant_rows/],
          ["alter table mahalla.payout disable row level security", /payout: row-level security is off/],
          ["alter table mahalla.finding no force row level security", /finding: row-level security is not forced/],
          ["alter policy tenant_rows on mahalla.attachment using (true)", /attachment\.tenant_rows asks for true/],
          ["alter policy tenant_rows on mahalla.message with check (true)", /message\.tenant_rows asks for true/],
          ["alter policy tenant_rows on mahalla.job to public", /job\.tenant_rows is for public/],
          ["create policy more on mahalla.offence using (true)", /offence has the policies/],
          ["create table mahalla.note (id uuid)", /note has no tenant_id and is not on the list/],
          ["create table mahalla.note (tenant_id uuid)", /note: row-level security is off/],
          ["grant select on mahalla.principal to public", /everybody may SELECT principal/],
          ["grant select (phone) on mahalla.principal to public", /everybody may SELECT mahalla.principal.phone/],
          ["grant truncate on mahalla.case_link to mahalla_app", /case_link may be emptied/],
          [
            "create function mahalla.f() returns int language sql security definer as 'select 1'",
            /f runs as its owner and is not on the list/
          ],
          ["alter function mahalla.principal_of reset search_path", /principal_of runs as its owner with/],
          ["grant execute on function mahalla.search_cases to public", /everybody may run search_cases/],
          ["alter role mahalla_app bypassrls", /mahalla_app may walk around/],
          ["alter table mahalla.territory owner to mahalla_platform", /territory belongs to a role/],
          ["create view mahalla.everybody as select * from mahalla.principal", /everybody is a view/]
        ]
        for (const [text, expected] of cases) {
          const found = yield* withClient(admin, (client) => spoiled(client, text))
          assert.match(found.join("; "), expected, text)
        }
      })
    )
  }
)

describe("rows of another tenant", () => {
  layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: modules }), { excludeTestServices: true })(
    (it) => {
      it.effect("are_not_there_for_any_statement_on_any_table", () =>
        Effect.gen(function* () {
          const { admin, app } = yield* TestKernel
          const [ours, theirs] = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]
          const names = yield* withClient(admin, async (client) => {
            await client.query(
              `insert into mahalla.tenant (tenant_id, slug, name, settings) values ('${theirs}', 'theirs', 't', '{}')`
            )
            await fill(client, theirs)
            const found = await rows<{ name: string; amount: number }>(
              client,
              `select c.relname as name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from mahalla.%I where tenant_id = ''${theirs}''', c.relname), false, true, '')))[1]::text::int as amount
             from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
             where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1`
            )
            // Otherwise nothing is proved by seeing nothing.
            assert.deepStrictEqual(
              found.filter((row) => row.amount === 0).map((row) => row.name),
              []
            )
            return found.map((row) => row.name)
          })
          assert.isAtLeast(names.length, 20)
          const wrong = yield* withClient(app, async (client) => {
            const found: Array<string> = []
            for (const tenant of [ours, "", "not set"]) {
              for (const name of names) {
                for (const [kind, text] of statements(name, theirs)) {
                  await client.query("begin")
                  if (tenant !== "not set")
                    await client.query("select set_config('mahalla.tenant', $1, true)", [tenant])
                  const outcome = await client.query(text).then(
                    ({ rowCount }) => (rowCount === 0 ? "nothing" : `${rowCount} rows`),
                    (error: { code?: string }) => error.code ?? "error"
                  )
                  // 42501: no right, or a new row that would be another tenant's.
                  const good = kind === "insert" ? ["42501"] : ["nothing", "42501"]
                  if (!good.includes(outcome)) found.push(`${kind} ${name} with tenant "${tenant}": ${outcome}`)
                  await client.query("rollback")
                }
              }
            }
            return found
          })
          assert.deepStrictEqual(wrong, [])
        })
      )
    }
  )
})

const statements = (name: string, theirs: string): ReadonlyArray<readonly [string, string]> => [
  ["select", `select tenant_id from mahalla.${name}`],
  ["select", `select tenant_id from mahalla.${name} where tenant_id = '${theirs}'`],
  ["update", `update mahalla.${name} set tenant_id = tenant_id`],
  ["update", `update mahalla.${name} set tenant_id = tenant_id where tenant_id = '${theirs}'`],
  ["delete", `delete from mahalla.${name} where tenant_id = '${theirs}'`],
  ["lock", `select tenant_id from mahalla.${name} for update`],
  ["insert", `insert into mahalla.${name} (tenant_id) values ('${theirs}')`]
]

/** One row in every table, whatever its keys and checks say: only its being there matters. */
const fill = async (client: pg.Client, tenant: string) => {
  const columns = await rows<{ table: string; column: string; type: string; always: boolean }>(
    client,
    `select c.relname as table, a.attname as column, format_type(a.atttypid, null) as type, a.attidentity <> '' or a.attgenerated <> '' as always
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and exists (select from pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id')
       and (a.attnotnull or a.attname = 'tenant_id') and not a.atthasdef order by 1, a.attnum`
  )
  const value = (column: string, type: string) => {
    if (column === "tenant_id") return `'${tenant}'`
    if (type === "uuid") return "gen_random_uuid()"
    if (type === "uuid[]") return "'{}'"
    if (type === "jsonb") return "'{}'"
    if (type === "boolean") return "true"
    if (type.startsWith("timestamp")) return "now()"
    if (type === "text" || type === "bytea") return `'x'`
    return "1"
  }
  // Foreign keys and triggers are not what this is about, and neither are checks.
  await client.query("set session_replication_role = replica")
  const checks = await rows<{ table: string; name: string }>(
    client,
    `select conrelid::regclass::text as table, conname as name from pg_constraint
     where contype = 'c' and connamespace = 'mahalla'::regnamespace and conislocal`
  )
  for (const { name, table } of checks) await client.query(`alter table ${table} drop constraint ${name}`)
  for (const table of new Set(columns.map((row) => row.table))) {
    if (table === "tenant") continue
    const given = columns.filter((row) => row.table === table && !row.always)
    await client.query(
      `insert into mahalla.${table} (${given.map((row) => `"${row.column}"`).join()}) values (${given.map((row) => value(row.column, row.type)).join()})`
    )
  }
  await client.query("set session_replication_role = origin")
}
