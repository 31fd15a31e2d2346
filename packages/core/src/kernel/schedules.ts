/** The kernel's own repeated work: room for events, and sweeping what has had its time. */
import * as Effect from "effect/Effect"
import { sweepUploads } from "./attachments/sweep.ts"
import { PlatformTx, withPlatform } from "./db/Database.ts"
import { sweepRetention } from "./personal/Retention.ts"
import { sweepPersonRequests } from "./personal/sweepRequests.ts"
import type { Schedule } from "./module/defineModule.ts"

export const kernelSchedules: ReadonlyArray<Schedule> = [
  {
    id: "kernel.event-partitions",
    cron: "10 * * * *",
    run: withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql`select mahalla.ensure_event_partitions(2)`))
  },
  { id: "kernel.uploads", cron: "*/5 * * * *", run: Effect.asVoid(sweepUploads) },
  { id: "kernel.person-requests", cron: "*/5 * * * *", run: Effect.asVoid(sweepPersonRequests) },
  { id: "kernel.retention", cron: "*/10 * * * *", run: sweepRetention },
  {
    id: "kernel.rate-limits",
    cron: "40 * * * *",
    run: withPlatform(
      Effect.flatMap(
        PlatformTx,
        // Budgets that are whole again; an hour, for clocks of other servers.
        ({ sql }) => sql`delete from mahalla.rate_limit where arrival < (extract(epoch from now()) - 3600) * 1000000`
      )
    )
  }
].map((schedule) => ({ ...schedule, run: Effect.asVoid(schedule.run) }))
