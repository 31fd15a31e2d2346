/** The kernel's own tables, in the order in which they are made. */
import { type Migration, readMigration } from "./db/Migration.ts"

const kernel = (path: string): Migration => readMigration("kernel", new URL(path, import.meta.url))

export const kernelMigrations: ReadonlyArray<Migration> = [
  kernel("./db/migrations/0001_kernel.sql"),
  kernel("./tenancy/migrations/0002_tenancy.sql"),
  kernel("./events/migrations/0003_event.sql"),
  kernel("./cases/migrations/0004_case.sql"),
  kernel("./attachments/migrations/0005_attachment.sql"),
  kernel("./jobs/migrations/0006_job.sql"),
  kernel("./transparency-log/migrations/0007_transparency-log.sql"),
  kernel("./policy/migrations/0008_policy.breaking.sql"),
  kernel("./personal/migrations/0009_personal-data.breaking.sql"),
  kernel("./transparency-log/migrations/0010_checkpoint-delivery.sql"),
  kernel("./platform/migrations/0011_platform-sessions.breaking.sql"),
  kernel("./policy/migrations/0012_batches.sql")
]
