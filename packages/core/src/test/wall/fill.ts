/** One row in every table of tenants' rows, whatever its keys and checks say: only its being there matters. */
import type pg from "pg"
import { rows } from "./holes.ts"

interface Column {
  readonly table: string
  readonly column: string
  readonly type: string
  readonly always: boolean
}

const valueOf = (tenant: string, { column, type }: Column): string => {
  if (column === "tenant_id") return `'${tenant}'`
  if (type === "uuid") return "gen_random_uuid()"
  if (type.endsWith("[]")) return "'{}'"
  if (type === "jsonb") return "'{}'"
  if (type === "boolean") return "true"
  if (type === "date") return "current_date"
  if (type.startsWith("timestamp")) return "now()"
  if (type === "text" || type === "bytea") return "gen_random_uuid()::text" + (type === "bytea" ? "::bytea" : "")
  return "1"
}

/** As the superuser. Takes the checks away for good: the database is the test's own. */
export const fill = async (client: pg.Client, tenants: ReadonlyArray<string>): Promise<void> => {
  const columns = await rows<Column>(
    client,
    `select c.relname as table, a.attname as column, format_type(a.atttypid, null) as type, a.attidentity <> '' or a.attgenerated <> '' as always
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and exists (select from pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id')
       and (a.attnotnull or a.attname = 'tenant_id') and not a.atthasdef order by 1, a.attnum`
  )
  const checks = await rows<{ table: string; name: string }>(
    client,
    `select conrelid::regclass::text as table, conname as name from pg_constraint
     where contype = 'c' and connamespace = 'mahalla'::regnamespace and conislocal`
  )
  for (const { name, table } of checks) await client.query(`alter table ${table} drop constraint ${name}`)
  // Foreign keys and triggers are not what this is about.
  await client.query("set session_replication_role = replica")
  for (const table of new Set(columns.map((column) => column.table)))
    for (const tenant of tenants) {
      const given = columns.filter((column) => column.table === table && !column.always)
      await client.query(
        `insert into mahalla.${table} (${given.map(({ column }) => `"${column}"`).join()}) values (${given.map((column) => valueOf(tenant, column)).join()}) on conflict do nothing`
      )
    }
  await client.query("set session_replication_role = origin")
}
