/**
 * What really passes: every table × what one can do with a row × every database role × whose row it is and which tenant is set. Expected is
 * what the grants say and nothing else, so the table of expectations is made, not written.
 */
import type pg from "pg"
import { rows, type Table, tablesOf, type Verb } from "./holes.ts"

/** `passed`: the statement reached a row, or a key or check behind the wall. `nothing`: no row was there. `refused`: no right. */
type Outcome = "passed" | "nothing" | "refused"
type Deed = Verb | "lock" | "move" | "upsert" | "join"

/** The setting of the transaction, and whose rows are asked for. */
const settings = ["own", "other", "none", "empty"] as const
type Setting = (typeof settings)[number]

export interface Roles {
  readonly app: string
  readonly platform: string
  /** Logs in, and was given nothing. */
  readonly nobody: string
}

interface Probe {
  readonly deed: Deed
  readonly text: string
  readonly needs: ReadonlyArray<Verb>
}

/** Columns whose value says which partition a row is for: without it PostgreSQL would refuse before it asks the wall. */
const timesOf = async (client: pg.Client, name: string): Promise<ReadonlyArray<string>> =>
  (
    await rows<{ column: string }>(
      client,
      `with recursive parts as (
         select $1::regclass::oid as id union all select inhrelid from pg_inherits join parts on inhparent = id)
       select distinct attname as column from parts join pg_partitioned_table on partrelid = id
       join pg_attribute on attrelid = id and attnum = any (partattrs) where atttypid = 'timestamptz'::regtype`,
      [name]
    )
  ).map(({ column }) => column)

const probesOf = (
  table: Table,
  column: string,
  times: ReadonlyArray<string>,
  tenant: string,
  other: string
): ReadonlyArray<Probe> => {
  const name = `mahalla.${table.name}`
  const row = `(${["tenant_id", ...times].join()}) values (${[`'${tenant}'`, ...times.map(() => "now()")].join()})`
  return [
    { deed: "select", needs: ["select"], text: `select tenant_id from ${name} where tenant_id = '${tenant}'` },
    {
      deed: "join",
      needs: ["select"],
      text: `select mine.tenant_id from (values ('${tenant}'::uuid)) given (id) join ${name} mine on mine.tenant_id = given.id`
    },
    {
      deed: "lock",
      needs: ["select", "update"],
      text: `select tenant_id from ${name} where tenant_id = '${tenant}' for update`
    },
    { deed: "insert", needs: ["insert"], text: `insert into ${name} ${row}` },
    {
      deed: "upsert",
      needs: ["insert"],
      text: `insert into ${name} ${row} on conflict do nothing`
    },
    {
      deed: "update",
      needs: ["select", "update"],
      text: `update ${name} set ${column} = ${column} where tenant_id = '${tenant}'`
    },
    {
      deed: "move",
      needs: ["select", "update"],
      text: `update ${name} set tenant_id = '${other}' where tenant_id = '${tenant}'`
    },
    { deed: "delete", needs: ["select", "delete"], text: `delete from ${name} where tenant_id = '${tenant}'` }
  ]
}

/** The outcome, and how many rows it reached. */
const attempt = async (
  client: pg.Client,
  role: string,
  set: string | null,
  text: string
): Promise<readonly [Outcome, number]> => {
  await client.query("savepoint probe")
  try {
    await client.query(`set local role "${role}"`)
    if (set !== null) await client.query("select set_config('mahalla.tenant', $1, true)", [set])
    const { rowCount } = await client.query(text)
    return [rowCount === 0 ? "nothing" : "passed", rowCount ?? 0]
  } catch (error) {
    const { code = "" } = error as { code?: string }
    if (code === "42501") return ["refused", 0]
    // A key or a check behind the wall.
    if (code.startsWith("23")) return ["passed", 1]
    throw error
  } finally {
    await client.query("rollback to savepoint probe")
    // A savepoint keeps what was set before it.
    await client.query("reset role")
  }
}

/** What the transaction's tenant must let an application do with a row of `ours`. */
const expectedOf = (table: Table, probe: Probe, setting: Setting, updatable: ReadonlyArray<string>): Outcome => {
  const granted = probe.needs.every((verb) => table.granted.includes(verb))
  if (!granted || (probe.deed === "move" && !updatable.includes("tenant_id"))) return "refused"
  const inserts = probe.deed === "insert" || probe.deed === "upsert"
  if (setting === "own") return probe.deed === "move" ? "refused" : "passed"
  return inserts ? "refused" : "nothing"
}

/** Everything that is not as the grants say, in words. Runs in the caller's transaction, which must be of a superuser; leaves nothing. */
export const surprises = async (
  client: pg.Client,
  roles: Roles,
  [ours, theirs]: readonly [string, string],
  only?: string
): Promise<{ readonly asked: number; readonly found: ReadonlyArray<string> }> => {
  const tables = (await tablesOf(client)).filter(({ name, tenant }) => tenant && (only === undefined || name === only))
  const found: Array<string> = []
  let asked = 0
  const check = async (label: string, expected: Outcome, role: string, set: string | null, text: string) => {
    asked++
    const [seen] = await attempt(client, role, set, text)
    if (seen !== expected) found.push(`${label}: ${seen} instead of ${expected}`)
  }
  // Foreign keys and triggers would refuse first, and hide what the wall lets pass.
  await client.query("set local session_replication_role = replica")
  for (const table of tables) {
    const name = `mahalla.${table.name}`
    const updatable = (
      await rows<{ name: string }>(
        client,
        `select quote_ident(attname) as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped
           and has_column_privilege('mahalla_app', attrelid, attnum, 'update') order by attname = 'tenant_id', attnum desc`,
        [name]
      )
    ).map(({ name }) => name)
    const column = updatable[0] ?? "tenant_id"
    const times = table.partition ? [] : await timesOf(client, name)
    for (const probe of probesOf(table, column, times, ours, theirs)) {
      for (const setting of settings) {
        const set = { own: ours, other: theirs, none: null, empty: "" }[setting]
        const expected = table.partition ? "refused" : expectedOf(table, probe, setting, updatable)
        await check(`app ${probe.deed} ${table.name} with ${setting}`, expected, roles.app, set, probe.text)
      }
      await check(`nobody ${probe.deed} ${table.name}`, "refused", roles.nobody, ours, probe.text)
    }
    // The application sees no more when it does not say whose rows it wants.
    if (table.granted.includes("select") && !table.partition)
      for (const set of [ours, theirs]) {
        await client.query("savepoint whole")
        await client.query(`set local role "${roles.app}"`)
        await client.query("select set_config('mahalla.tenant', $1, true)", [set])
        const seen = await rows<{ tenant_id: string }>(client, `select distinct tenant_id from mahalla.${table.name}`)
        await client.query("rollback to savepoint whole")
        await client.query("reset role")
        asked++
        const tenants = seen.map((row) => row.tenant_id).join()
        if (tenants !== set) found.push(`app reads ${tenants || "nothing"} in ${table.name} as ${set}`)
      }
    // A statement that reads nothing is held by its own verb's policy alone.
    const [value] = await rows<{ literal: string }>(
      client,
      `select quote_nullable(${column}::text) || '::' || pg_typeof(${column}) as literal from ${name} where tenant_id = $1`,
      [ours]
    )
    const blind: ReadonlyArray<readonly [Verb, string]> = [
      ["update", `update ${name} set ${column} = ${value?.literal ?? "null"}`],
      ["delete", `delete from ${name}`]
    ]
    for (const [verb, text] of blind)
      for (const set of [ours, theirs, null]) {
        const [seen, count] = await attempt(client, roles.app, set, text)
        asked++
        const granted = table.granted.includes(verb) && !table.partition
        const expected = granted ? (set === null ? 0 : 1) : 0
        if (count !== expected || (seen === "refused") === granted)
          found.push(`app ${verb} of all in ${table.name} as ${set}: ${seen} ${count}`)
      }
    if (updatable.includes("tenant_id") && !table.partition)
      await check(
        `app move of all in ${table.name}`,
        "refused",
        roles.app,
        ours,
        `update ${name} set tenant_id = '${theirs}'`
      )
    // The platform serves every tenant, with or without one set.
    for (const tenant of [ours, theirs])
      await check(
        `platform select ${table.name}`,
        table.partition ? "refused" : "passed",
        roles.platform,
        null,
        `select tenant_id from mahalla.${table.name} where tenant_id = '${tenant}'`
      )
  }
  await client.query("set local session_replication_role = origin")
  return { asked, found }
}
