/** When an authority is asked about a filing: at growing intervals, and at once when somebody says that there is news. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { FilingState } from "./model.ts"

const minute = 60_000

/** Milliseconds until the next question after so many in vain: seconds at first, then hours; of what nobody knows at most half an hour. */
export const interval = (state: FilingState, tries: number): number =>
  Math.min((state === "unknown" ? 30 : 720) * minute, 5_000 * 2 ** tries)

/** Milliseconds after which a filing that is being sent has lost whoever sent it; longer than any call. */
export const abandonedAfter = 2 * minute

/** Milliseconds after which a filing that the authority has never heard of is sent again under its number. */
export const resendAfter = 5_000

/** Asks about a filing at the next turn, decided ones too: decisions are reversed. What is on its way or was refused is left alone. */
export const askSoon = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.filing set next_at = least(next_at, ${now}::timestamptz), tries = 0
    where tenant_id = ${tenantId} and id = ${id} and not by_hand and state in ('unknown', 'filed', 'in-review', 'decided')`
})
