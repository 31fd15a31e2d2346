/** Everything that a backup of the database would hold, as text; and marks in it, in whatever form they may stand there. */
import type { CityKit } from "./cityKit.ts"

/** Each table's rows of every schema but PostgreSQL's own, columns of bytes in hexadecimal; partitions by themselves. */
export const dump = async (sql: CityKit["sql"]): Promise<ReadonlyMap<string, string>> => {
  const tables = await sql<{ schema: string; name: string }>(
    `select nspname as schema, relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where relkind in ('r', 'm') and nspname !~ '^(pg_|information_schema$)' order by 1, 2`
  )
  const found = new Map<string, string>()
  for (const { name, schema } of tables) {
    const rows = await sql<{ row: string }>(`select t::text as row from "${schema}"."${name}" t`)
    found.set(schema === "mahalla" ? name : `${schema}.${name}`, rows.map(({ row }) => row).join("\n"))
  }
  return found
}

const isPhone = (mark: string) => /^\+?\d{11,13}$/.test(mark)

/** How people write a number: with or without its country, and with anything between its digits that is no digit. */
const spelling = (phone: string) => {
  const national = phone.replace("+", "").slice(3)
  return new RegExp(`(?<![0-9a-f])${[...national].join("[\\s().\u00a0-]{0,3}")}(?![0-9a-f])`)
}

/** What stands in a text packed: each run of hexadecimal digits and of base64, unpacked at every place where it may begin. */
const unpacked = (text: string): string => {
  const parts: Array<string> = []
  for (const [run] of text.matchAll(/(?:[0-9a-f]{2}){8,}/gi))
    for (const start of [0, 1]) parts.push(Buffer.from(run.slice(start), "hex").toString("latin1"))
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{11,}/g))
    for (const start of [0, 1, 2, 3]) parts.push(Buffer.from(run.slice(start), "base64").toString("latin1"))
  return parts.join("\n")
}

/** Where a mark stands: in clear, in hexadecimal or base64, percent-encoded; a phone in any usual spelling. */
export const places = (texts: ReadonlyMap<string, string>, marks: ReadonlyArray<string>): ReadonlyArray<string> => {
  const forms = marks.map((mark) => {
    const spelt = isPhone(mark) ? spelling(mark) : undefined
    const latin = Buffer.from(mark).toString("latin1")
    return {
      mark,
      clear: (text: string) =>
        text.includes(mark) || text.includes(encodeURIComponent(mark)) || spelt?.test(text) === true,
      packed: (text: string) => text.includes(latin)
    }
  })
  return [...texts].flatMap(([name, text]) => {
    const inside = unpacked(text)
    return forms.filter(({ clear, packed }) => clear(text) || packed(inside)).map(({ mark }) => `${name}: ${mark}`)
  })
}
