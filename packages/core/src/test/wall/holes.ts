/**
 * What the database's own catalogue says about the second wall: every table of tenants' rows stands behind row-level security, with a door for
 * each verb that was granted and none besides, and nobody has rights, keys or functions that lead around it. A table that is added tomorrow is
 * judged too.
 */
import type pg from "pg"

/** Tables that belong to no tenant: the whole list. The last four are the platform's own; see docs/decisions/policy.md. */
export const withoutTenant = [
  "case_type",
  "lease",
  "master_key",
  "migration",
  "schedule",
  "telemetry_hearing",
  "platform_admin",
  "platform_link",
  "platform_log",
  "platform_session"
]

/** What the application may do with a table that belongs to no tenant. */
const openTables: Readonly<Record<string, string>> = { case_type: "SELECT", migration: "SELECT" }

/** Each of them was read by somebody else than its author: bounded to the tenant it is given, or to no rows at all. */
export const definers = [
  "actor_of",
  "actors_of",
  "app_in_force",
  "drop_telemetry_partitions",
  "ensure_event_partitions",
  "ensure_telemetry_partition",
  "keep_balances",
  "search_cases",
  "session_state",
  "session_states",
  "use_api_key"
]

/** Keys that span tenants on purpose: addresses are given out once in a deployment; arrival numbers come from a sequence, and only the platform reads them. */
const sharedKeys = ["tenant_slug_key", "event_outbox_pkey"]

export const verbs = ["select", "insert", "update", "delete"] as const
export type Verb = (typeof verbs)[number]

const bound = "(tenant_id = ( SELECT mahalla.current_tenant() AS current_tenant))"

export const rows = async <A extends object>(client: pg.Client, text: string, values: ReadonlyArray<unknown> = []) =>
  (await client.query<A & pg.QueryResultRow>(text, [...values])).rows as ReadonlyArray<A>

export interface Table {
  readonly name: string
  readonly partition: boolean
  readonly tenant: boolean
  readonly nullable: boolean
  readonly enabled: boolean
  readonly forced: boolean
  /** What the application was granted, on the table or on a part of its columns. */
  readonly granted: ReadonlyArray<Verb>
}

export const tablesOf = (client: pg.Client) =>
  rows<Table>(
    client,
    `select c.relname as name, c.relispartition as partition, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
            a.attname is not null as tenant, not coalesce(a.attnotnull, true) as nullable,
            array(select verb from unnest(array['select', 'insert', 'update', 'delete']) verb
              where case when verb = 'delete' then has_table_privilege('mahalla_app', c.oid, verb)
                         else has_any_column_privilege('mahalla_app', c.oid, verb) end) as granted
     from pg_class c
     left join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
     where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') order by 1`
  )

interface Policy {
  readonly table: string
  readonly policy: string
  readonly command: string
  readonly permissive: string
  readonly roles: ReadonlyArray<string>
  readonly using: string | null
  readonly check: string | null
}

const policyHoles = (table: Table, own: ReadonlyArray<Policy>): ReadonlyArray<string> => {
  const found: Array<string> = []
  // Partitions are reached through their parent; only the platform, which looks after them, may go to them directly.
  const doors = table.partition ? [] : table.granted
  const expected = ["platform_rows", ...doors.map((verb) => `tenant_${verb}`)].sort()
  const names = own.map(({ policy }) => policy).sort()
  if (names.join() !== expected.join())
    found.push(`${table.name} has the policies ${names.join(", ") || "none"} instead of ${expected.join(", ")}`)
  for (const { check, command, permissive, policy, roles, using } of own) {
    const label = `${table.name}.${policy}`
    const platform = policy === "platform_rows"
    const verb = policy.replace("tenant_", "").toUpperCase()
    if (permissive !== "PERMISSIVE") found.push(`${label} is ${permissive}`)
    if (roles.join() !== (platform ? "mahalla_platform" : "mahalla_app"))
      found.push(`${label} is for ${roles.join(", ")}`)
    if (command !== (platform ? "ALL" : verb)) found.push(`${label} is for ${command}`)
    const clause = platform ? "true" : bound
    if (using !== (verb === "INSERT" && !platform ? null : clause)) found.push(`${label} asks for ${using}`)
    if (check !== (platform || verb === "INSERT" || verb === "UPDATE" ? clause : null))
      found.push(`${label} asks new rows for ${check}`)
  }
  return found
}

const tableHoles = async (client: pg.Client): Promise<ReadonlyArray<string>> => {
  const policies = await rows<Policy>(
    client,
    `select tablename as "table", policyname as policy, cmd as command, permissive, roles::text[] as roles, qual as using, with_check as check
     from pg_policies where schemaname = 'mahalla'`
  )
  return (await tablesOf(client)).flatMap((table) => {
    if (!table.tenant) {
      const listed = withoutTenant.includes(table.name)
      const granted = table.granted.map((verb) => verb.toUpperCase()).join()
      return [
        ...(listed ? [] : [`${table.name} has no tenant_id and is not on the list`]),
        ...(granted === (openTables[table.name] ?? "")
          ? []
          : [`${table.name} belongs to no tenant and gives ${granted}`])
      ]
    }
    return [
      ...(table.nullable ? [`${table.name}: tenant_id may be null`] : []),
      ...(table.enabled ? [] : [`${table.name}: row-level security is off`]),
      ...(table.forced ? [] : [`${table.name}: row-level security is not forced`]),
      ...policyHoles(
        table,
        policies.filter((policy) => policy.table === table.name)
      )
    ]
  })
}

/** A key without the tenant tells one city what another has, and a reference without it reaches over. */
const keyHoles = async (client: pg.Client): Promise<ReadonlyArray<string>> => {
  const unique = await rows<{ name: string; table: string }>(
    client,
    `select i.relname as name, t.relname as "table" from pg_index x
       join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
       join pg_attribute a on a.attrelid = t.oid and a.attname = 'tenant_id' and not a.attisdropped
     where t.relnamespace = 'mahalla'::regnamespace and x.indisunique and not (a.attnum = any (x.indkey::int2[]))`
  )
  const references = await rows<{ name: string; table: string; target: string }>(
    client,
    `select k.conname as name, t.relname as "table", f.relname as target from pg_constraint k
       join pg_class t on t.oid = k.conrelid join pg_class f on f.oid = k.confrelid
       left join pg_attribute a on a.attrelid = t.oid and a.attname = 'tenant_id' and not a.attisdropped
       left join pg_attribute b on b.attrelid = f.oid and b.attname = 'tenant_id' and not b.attisdropped
     where k.contype = 'f' and k.connamespace = 'mahalla'::regnamespace and b.attnum is not null
       and not exists (select from unnest(k.conkey, k.confkey) as pair (mine, yours) where mine = a.attnum and yours = b.attnum)`
  )
  return [
    ...unique
      .filter(({ name }) => !sharedKeys.includes(name))
      .map(({ name, table }) => `${table}: the key ${name} is without the tenant`),
    ...references.map(({ name, table, target }) => `${table}: ${name} refers to ${target} without the tenant`)
  ]
}

const rightHoles = async (client: pg.Client): Promise<ReadonlyArray<string>> => {
  const everybody = await rows<{ what: string; kind: string }>(
    client,
    `select c.relname as what, g.privilege_type as kind from pg_class c, aclexplode(c.relacl) g
     where c.relnamespace = 'mahalla'::regnamespace and g.grantee = 0
     union all
     select a.attrelid::regclass::text || '.' || a.attname, g.privilege_type from pg_attribute a join pg_class c on c.oid = a.attrelid,
       aclexplode(a.attacl) g where c.relnamespace = 'mahalla'::regnamespace and g.grantee = 0
     union all
     select nspname, g.privilege_type from pg_namespace n, aclexplode(n.nspacl) g where nspname = 'mahalla' and g.grantee = 0`
  )
  const logins = await rows<{ what: string; kind: string; grantee: string }>(
    client,
    `select c.relname as what, g.privilege_type as kind, r.rolname as grantee from pg_class c, aclexplode(c.relacl) g
       join pg_roles r on r.oid = g.grantee
     where c.relnamespace = 'mahalla'::regnamespace and r.rolname not in ('mahalla_app', 'mahalla_platform') and g.grantee <> c.relowner`
  )
  // Policies do not hold TRUNCATE; REFERENCES and TRIGGER see what they should not.
  const around = await rows<{ what: string }>(
    client,
    `select c.relname as what from pg_class c where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p')
       and exists (select from unnest(array['mahalla_app', 'mahalla_platform']) who, unnest(array['truncate', 'references', 'trigger']) verb
                   where has_table_privilege(who, c.oid, verb))`
  )
  const roles = await rows<{ name: string }>(
    client,
    `select rolname as name from pg_roles where (rolname in ('mahalla_app', 'mahalla_platform') or rolname ~ '_(app|platform)_login$')
       and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)`
  )
  // Who is a member of the platform, or of the owner, is held by other policies or by none.
  const members = await rows<{ name: string; role: string }>(
    client,
    `select m.rolname as name, r.rolname as role from pg_auth_members a
       join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid
     where (m.rolname = 'mahalla_app' or m.rolname ~ '_app_login$') and r.rolname <> 'mahalla_app'`
  )
  const owned = await rows<{ name: string }>(
    client,
    `select c.relname as name from pg_class c join pg_roles r on r.oid = c.relowner where c.relnamespace = 'mahalla'::regnamespace
       and (r.rolname in ('mahalla_app', 'mahalla_platform') or r.rolname ~ '_(app|platform)_login$')`
  )
  return [
    ...everybody.map(({ kind, what }) => `everybody may ${kind} ${what}`),
    ...logins.map(({ grantee, kind, what }) => `${grantee} may ${kind} ${what}`),
    ...around.map(({ what }) => `${what} may be emptied or hung a trigger on`),
    ...roles.map(({ name }) => `the role ${name} may walk around policies`),
    ...members.map(({ name, role }) => `${name} is a member of ${role}`),
    ...owned.map(({ name }) => `${name} belongs to a role that serves requests`)
  ]
}

const functionHoles = async (client: pg.Client): Promise<ReadonlyArray<string>> => {
  const functions = await rows<{ name: string; path: string | null; everybody: boolean }>(
    client,
    `select p.proname as name,
            (select substr(option, 13) from unnest(p.proconfig) option where starts_with(option, 'search_path=')) as path,
            has_function_privilege('public', p.oid, 'execute') as everybody
     from pg_proc p where p.pronamespace = 'mahalla'::regnamespace and p.prosecdef`
  )
  // A view asks with its owner's rights unless it is told not to; a stored one has been asked already.
  const views = await rows<{ name: string }>(
    client,
    `select relname as name from pg_class where relnamespace = 'mahalla'::regnamespace
       and (relkind in ('m', 'f') or relkind = 'v' and not coalesce(reloptions @> array['security_invoker=true'], false))`
  )
  return [
    ...functions.flatMap(({ everybody, name, path }) => [
      ...(definers.includes(name) ? [] : [`${name} runs as its owner and is not on the list`]),
      ...(path === "pg_catalog, mahalla" ? [] : [`${name} runs as its owner with the search path ${path}`]),
      ...(everybody ? [`everybody may run ${name}`] : [])
    ]),
    ...views.map(({ name }) => `${name} would be read with its owner's rights`)
  ]
}

/** Every hole in the wall, in words; none when it is whole. */
export const holes = async (client: pg.Client): Promise<ReadonlyArray<string>> => [
  ...(await tableHoles(client)),
  ...(await keyHoles(client)),
  ...(await rightHoles(client)),
  ...(await functionHoles(client))
]

/** Does something to the database, asks, and takes it back. */
export const spoiled = async <A>(
  client: pg.Client,
  text: string,
  ask: (client: pg.Client) => Promise<A>
): Promise<A> => {
  await client.query("begin")
  try {
    await client.query(text)
    return await ask(client)
  } finally {
    await client.query("rollback")
  }
}
