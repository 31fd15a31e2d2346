/** The tables of every module of ours, beside the kernel's: found on the disk, so that a new migration is judged too. */
import { readdirSync } from "node:fs"
import { readMigration, type Migration } from "../../kernel/db/Migration.ts"

const folder = new URL("../../modules/", import.meta.url)

const migrationsOf = (name: string): ReadonlyArray<Migration> => {
  const inside = new URL(`${name}/migrations/`, folder)
  try {
    return readdirSync(inside)
      .filter((file) => file.endsWith(".sql"))
      .sort()
      .map((file) => readMigration(name, new URL(file, inside)))
  } catch {
    // A module without tables.
    return []
  }
}

// Payouts before those who refer to them.
const first = ["identity", "payouts", "reports"]
const found = readdirSync(folder)
export const moduleMigrations: ReadonlyArray<Migration> = [
  ...first,
  ...found.filter((name) => !first.includes(name))
].flatMap(migrationsOf)
