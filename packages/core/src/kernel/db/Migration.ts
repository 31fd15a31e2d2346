/**
 * Numbered SQL migrations, each belonging to a module. A migration named `NNNN_name.breaking.sql` makes the schema unusable for
 * servers that do not know it.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"

export interface Migration {
  /** `kernel`, or the module's id. */
  readonly module: string
  /** Counts from 1 within the module. */
  readonly id: number
  readonly name: string
  /** A server that does not know this one refuses the database. */
  readonly breaking: boolean
  readonly sql: string
  /** SHA-256 of the text, hex: an applied migration never changes. */
  readonly checksum: string
}

/** Makes a migration from its file name and text. */
export const migration = (module: string, file: string, sql: string): Migration => {
  const parts = /^(\d{4})_([a-z0-9-]+)(\.breaking)?\.sql$/.exec(file)
  if (parts === null)
    throw new Error(`Migration ${module}/${file} must be named like 0001_name.sql or 0001_name.breaking.sql`)
  return {
    module,
    id: Number(parts[1]),
    name: parts[2]!,
    breaking: parts[3] !== undefined,
    sql,
    checksum: createHash("sha256").update(sql).digest("hex")
  }
}

/**
 * Reads a migration that stands beside the calling module.
 *
 * @example readMigration("reports", new URL("./migrations/0001_reports.sql", import.meta.url))
 */
export const readMigration = (module: string, url: URL): Migration =>
  migration(module, url.pathname.split("/").at(-1)!, readFileSync(url, "utf8"))
