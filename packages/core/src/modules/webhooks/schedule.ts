/**
 * What follows from an attempt, as pure functions of what is known: when the message is tried again, how long its endpoint is left alone, and when an
 * endpoint is given up.
 */

/** Seconds before each attempt, counted from the one before: three days in all (Standard Webhooks). */
export const schedule: ReadonlyArray<number> = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]

/** Share by which a pause may be longer, so that what failed together does not come back together. */
const jitter = 0.2

const second = 1_000
const day = 86_400 * second

/** Failures within a day that start the clock, and days of nothing else that end it. */
const patience = { failures: 3, days: 5 } as const

/** Failures in a row that an endpoint may have without being left alone, and the longest rest in seconds. */
const rests = { free: 2, longest: 60 } as const
/** Seconds of rest for an endpoint that asks for less, at least; and at most, whatever it asks for. */
const slow = { least: 5, most: 86_400 } as const

/** What an attempt came to. */
export interface Outcome {
  /** Null: there was no answer. */
  readonly status: number | null
  /** Seconds, where the answer asks for them. */
  readonly retryAfter: number | undefined
}

export const isDelivered = ({ status }: Outcome): boolean => status !== null && status >= 200 && status < 300

/** The receiver wants nothing of this endpoint any more. */
export const isGone = ({ status }: Outcome): boolean => status === 410

const asksForLess = ({ status }: Outcome): boolean =>
  status === 429 || status === 502 || status === 503 || status === 504

/** How an endpoint has been doing; times are epoch milliseconds. */
export interface Standing {
  /** In a row. */
  readonly failures: number
  readonly restUntil: number | null
  /** Failures without a success since `recentFrom`, which is a day ago at most. */
  readonly recent: number
  readonly recentFrom: number | null
  /** The clock: every attempt since then has failed. */
  readonly failingSince: number | null
}

export const goodStanding: Standing = {
  failures: 0,
  restUntil: null,
  recent: 0,
  recentFrom: null,
  failingSince: null
}

/** Milliseconds after which attempt number `attempts + 1` may begin; undefined when that was the last. `random`: 0 to 1. */
export const pauseAfter = (attempts: number, outcome: Outcome, random: number): number | undefined => {
  const pause = schedule[attempts]
  if (pause === undefined) return undefined
  const asked = asksForLess(outcome) ? Math.min(outcome.retryAfter ?? 0, slow.most) : 0
  return Math.round(Math.max(pause * (1 + jitter * random), asked) * second)
}

const restAfter = (failures: number, outcome: Outcome, random: number): number => {
  const own = failures > rests.free ? Math.min(rests.longest, 2 ** Math.min(failures - rests.free - 1, 10)) : 0
  const asked = asksForLess(outcome) ? Math.min(Math.max(slow.least, outcome.retryAfter ?? 0), slow.most) : 0
  return Math.round(Math.max(own * (1 + jitter * random), asked) * second)
}

/** The standing after an attempt, and whether the endpoint is to be disabled for having failed so long. */
export const standingAfter = (
  before: Standing,
  outcome: Outcome,
  now: number,
  random: number
): { readonly standing: Standing; readonly failing: boolean } => {
  if (isDelivered(outcome)) return { standing: goodStanding, failing: false }
  const failures = before.failures + 1
  const again = before.recentFrom === null || now - before.recentFrom > day
  const recent = again ? 1 : before.recent + 1
  const failingSince = before.failingSince ?? (recent >= patience.failures ? now : null)
  const rest = restAfter(failures, outcome, random)
  return {
    standing: {
      failures,
      restUntil: rest === 0 ? before.restUntil : Math.max(before.restUntil ?? 0, now + rest),
      recent,
      recentFrom: again ? now : before.recentFrom,
      failingSince
    },
    failing: failingSince !== null && now - failingSince >= patience.days * day
  }
}
