/** The module's migrations, in their order. */
import { readMigration } from "../../kernel/db/Migration.ts"

export const payoutsMigrations = [
  "0001_payouts.sql",
  "0002_payee.breaking.sql",
  "0003_refuse-reserved.sql",
  "0004_approval.breaking.sql"
].map((file) => readMigration("payouts", new URL(`./migrations/${file}`, import.meta.url)))
