/** Devices of which nothing has been heard for longer than their profile's interval allows. Those behind a gateway are judged each by itself. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"

/** Marks those that are overdue; 5,000 at once at most. Index: device_presence_due. */
export const markOffline = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  return yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenantId: string; deviceId: string; since: Date }>`
        update mahalla.device_presence p set offline_since = p.due_at
        from (
          select tenant_id, device_id from mahalla.device_presence where offline_since is null and due_at <= ${now}
          order by due_at limit 5000 for update skip locked
        ) overdue
        where p.tenant_id = overdue.tenant_id and p.device_id = overdue.device_id
        returning p.tenant_id as "tenantId", p.device_id as "deviceId", p.offline_since as since`
    )
  )
})
