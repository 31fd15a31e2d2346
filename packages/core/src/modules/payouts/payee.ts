/**
 * A destination that changes behind a new device: whoever has taken an account over sends its money elsewhere. Such a payout waits, and staff is
 * alerted. A payout goes to where its person is paid when it is made, so that is where a change is seen, whichever way it came about.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NewDevices, newDeviceHours } from "../../kernel/NewDevices.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { PayeeChanged, type Payout } from "./model.ts"
import { lastPayee } from "./sql.ts"

const hour = 3_600_000

/** Whether the person was paid elsewhere the last time. Somebody who was never paid has changed nothing. */
const hasChanged = Effect.fnUntraced(function* (payout: Payout) {
  if (payout.payee === "") return false
  const last = yield* lastPayee(payout)
  return last !== undefined && (last.payee !== payout.payee || last.payeeKind !== payout.payeeKind)
})

/** Hours, unless the tenant's settings say otherwise. */
export const coolingOffHours = 24

/** When the device on which its person had come before it was made is no longer new. Undefined: there was none. */
const trustedAt = Effect.fnUntraced(function* (payout: Payout) {
  const hours = (yield* tenantSettings).newDeviceHours ?? newDeviceHours
  const to = payout.createdAt
  const from = new Date(to.getTime() - hours * hour)
  const seen = yield* (yield* NewDevices).latest(payout.principalId, { from, to })
  return seen === undefined ? undefined : new Date(seen.getTime() + hours * hour)
})

/** Writes a changed destination down when the payout is made. */
export const notePayee = Effect.fn("payouts.notePayee")(function* (payout: Payout) {
  if (!(yield* hasChanged(payout))) return
  const { caseId, id, payee, principalId } = payout
  const newDevice = (yield* trustedAt(payout)) !== undefined
  yield* appendEvent(PayeeChanged, { payoutId: id, principalId, payee, newDevice }, { caseId })
})

/** Why a reserved payout must wait for its destination still. */
export const waitsForPayee = Effect.fnUntraced(function* (payout: Payout) {
  if (!(yield* hasChanged(payout))) return undefined
  const now = yield* Clock.currentTimeMillis
  const trusted = yield* trustedAt(payout)
  if (trusted !== undefined && trusted.getTime() > now) return "newDevice" as const
  const cooling = (yield* tenantSettings).payouts?.coolingOffHours ?? coolingOffHours
  return payout.createdAt.getTime() + cooling * hour > now ? ("elsewhere" as const) : undefined
})
