/** Devices of which nothing has been heard for longer than their profile's interval allows. Those behind a gateway are judged each by itself. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { noteHearing } from "./hearing.ts"

/**
 * Marks those that are overdue; 5,000 at once at most. Who became due while nobody listened may take as long once more, from when somebody did: as
 * if it had been heard then. Index: device_presence_due.
 */
export const markOffline = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  return yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const last = (yield* noteHearing).deaf.at(-1)
      const [from, until] = last === undefined ? [null, null] : [new Date(last.from), new Date(last.until)]
      const looked = yield* sql<{ tenantId: string; deviceId: string; since: Date | null }>`
        update mahalla.device_presence p set
          offline_since = case when deaf then null else p.due_at end,
          due_at = case when deaf then ${until}::timestamptz + (p.due_at - p.received_at) else p.due_at end,
          received_at = case when deaf then ${until}::timestamptz else p.received_at end
        from (
          select tenant_id, device_id, coalesce(due_at > ${from}::timestamptz and received_at < ${until}::timestamptz, false) as deaf
          from mahalla.device_presence where offline_since is null and due_at <= ${now}
          order by due_at limit 5000 for update skip locked
        ) overdue
        where p.tenant_id = overdue.tenant_id and p.device_id = overdue.device_id
        returning p.tenant_id as "tenantId", p.device_id as "deviceId", p.offline_since as since`
      return looked.flatMap(({ since, ...device }) => (since === null ? [] : [{ ...device, since }]))
    })
  )
})
