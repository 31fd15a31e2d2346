/** An endpoint's messages in the process that delivers them. */
import type { ClaimedLane, Message } from "./lanes.ts"
import { isDelivered, type Outcome, pauseAfter, type Standing, standingAfter } from "./schedule.ts"
import type { Signer } from "./sign.ts"
import type { AttemptRow } from "./lanes.ts"
import type { Attempted } from "./attempt.ts"

/** Attempts at once to an endpoint that takes what it gets, at most. */
const most = 16

export interface Lane extends ClaimedLane {
  readonly signers: ReadonlyArray<Signer>
  standing: Standing
  /** Read and not begun. */
  waiting: Array<Message>
  /** Begun, until it is written down what became of them. */
  readonly open: Set<string>
  running: number
  /** Attempts that have not been answered at once. */
  late: number
  /** Attempts at once: grows with each that is taken. */
  allowed: number
  /** The database may have more that is due. */
  more: boolean
  /** Nothing more is begun. */
  ending: boolean
  /** Milliseconds of a clock that nobody sets: no more is read afterwards, so that what was changed at the endpoint counts. */
  readonly until: number
}

export const makeLane = (claimed: ClaimedLane, signers: ReadonlyArray<Signer>, until: number): Lane => ({
  ...claimed,
  // One whose secrets do not open is left alone for a while too.
  live: claimed.live && signers.length > 0,
  signers,
  waiting: [],
  open: new Set(),
  running: 0,
  late: 0,
  allowed: 1,
  more: true,
  ending: !claimed.live || signers.length === 0,
  until
})

/** Has never failed since it last took something, and answers at once. */
export const isWell = (lane: Lane): boolean => lane.standing.failures === 0 && lane.late === 0

const allowedOf = (lane: Lane): number => (lane.ordered || !isWell(lane) ? 1 : Math.min(most, lane.allowed))

/** Whether its next message may begin now; of an ordered lane the first may not be due yet. */
export const mayBegin = (lane: Lane, now: number): boolean =>
  !lane.ending &&
  lane.waiting.length > 0 &&
  lane.running < allowedOf(lane) &&
  (lane.standing.restUntil ?? 0) <= now &&
  lane.waiting[0]!.nextAt <= now

/** How many messages to read; none while there are enough, or while an ordered lane has something under way. */
export const wantedOf = (lane: Lane, elapsed: number): number => {
  if (lane.ending || !lane.more || elapsed >= lane.until || (lane.ordered && lane.open.size > 0)) return 0
  const [enough, amount] = isWell(lane) ? [most, 8 * most] : [0, 1]
  return lane.waiting.length > enough ? 0 : amount
}

/** Nothing is left to do here. */
export const isOver = (lane: Lane, now: number, elapsed: number): boolean =>
  lane.running === 0 &&
  lane.open.size === 0 &&
  (lane.ending || (!mayBegin(lane, now) && (lane.waiting.length > 0 || wantedOf(lane, elapsed) === 0)))

/** Takes in what became of an attempt: what to write, and why the endpoint must be given up, if it must. */
export const conclude = (
  lane: Lane,
  message: Message,
  attempted: Attempted,
  facts: { readonly id: string; readonly now: number; readonly random: number }
): { readonly row: AttemptRow; readonly failing: boolean } => {
  const { id, now, random } = facts
  const outcome: Outcome = attempted
  const delivered = isDelivered(outcome)
  const number = message.attempts + 1
  const pause = delivered ? undefined : pauseAfter(number, outcome, random)
  const after = standingAfter(lane.standing, outcome, now, random)
  lane.standing = after.standing
  if (delivered) lane.allowed++
  else {
    lane.allowed = 1
    // What stands behind the first one of an ordered lane waits for it.
    if (lane.ordered && pause !== undefined)
      lane.standing = { ...lane.standing, restUntil: Math.max(lane.standing.restUntil ?? 0, now + pause) }
    if (lane.ordered || (lane.standing.restUntil ?? 0) > now) lane.ending = true
  }
  return {
    failing: after.failing,
    row: {
      tenant_id: lane.tenantId,
      endpoint_id: lane.endpointId,
      event_id: message.eventId,
      id,
      number,
      at: new Date(now).toISOString(),
      took: attempted.took,
      status: attempted.status,
      delivered,
      failure: attempted.failure,
      excerpt: attempted.excerpt,
      state: delivered ? "delivered" : pause === undefined ? "failed" : "waiting",
      next_at: pause === undefined ? null : new Date(now + pause).toISOString()
    }
  }
}
