/** Everything that a backup of the database would hold, as text. */
import type { CityKit } from "./cityKit.ts"

/** Each table's rows, columns of bytes in hexadecimal and as text; partitions by themselves. */
export const dump = async (sql: CityKit["sql"]): Promise<ReadonlyMap<string, string>> => {
  const tables = await sql<{ name: string }>(
    "select relname as name from pg_class where relnamespace = 'mahalla'::regnamespace and relkind = 'r' order by 1"
  )
  const found = new Map<string, string>()
  for (const { name } of tables) {
    const rows = await sql<{ row: string }>(`select t::text as row from mahalla."${name}" t`)
    found.set(name, rows.map(({ row }) => row).join("\n"))
  }
  return found
}

/** Where a mark stands in clear, also in hexadecimal and base64. */
export const places = (texts: ReadonlyMap<string, string>, marks: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...texts].flatMap(([name, text]) =>
    marks
      .filter((mark) =>
        [mark, Buffer.from(mark).toString("hex"), Buffer.from(mark).toString("base64url").slice(0, -2)].some((form) =>
          text.includes(form)
        )
      )
      .map((mark) => `${name}: ${mark}`)
  )
