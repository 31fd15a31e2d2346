/**
 * How often something may be done: an exact count by the generic cell rate algorithm (GCRA, ITU-T I.371), the same in every process that
 * shares the store. A budget of `amount` in `window` seconds lets so many through at once, and then one more each `window / amount`.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import { PortError } from "./PortError.ts"

export type LimiterReason = "InvalidRequest" | "Unavailable" | "Unauthorized"

export class LimiterError extends PortError("LimiterError")<LimiterReason> {}

export interface LimitRequest {
  /** A UUID: budgets of two tenants have nothing to do with each other. */
  readonly tenantId: string
  /** What is limited and for whom: 1 to 200 printable ASCII characters. Never a secret or a phone number in clear. */
  readonly key: string
  /** So many at once, and in each window. At most a million in a second of it. */
  readonly amount: number
  /** Whole seconds, 31 days at most. */
  readonly window: number
  /**
   * Epoch milliseconds, as the caller's clock has them. A clock that is behind the last caller's gives nobody more; only where it is behind by
   * hours (`clockSlack`) the last caller's was wrong, and the budget begins anew, for nobody is to wait until the wrong time has come.
   */
  readonly now: number
}

export interface LimitAnswer {
  readonly admitted: boolean
  /** The `amount` that was asked for. */
  readonly limit: number
  /** How many more would be admitted at this moment. */
  readonly remaining: number
  /** Milliseconds until there is one more than `remaining`; 0 when all of them are there. */
  readonly next: number
  /** Milliseconds until all of them are there. */
  readonly reset: number
}

export class Limiter extends Context.Service<
  Limiter,
  {
    /** Takes one from the budget, or says when there will be one. What is refused costs nothing. */
    readonly take: (request: LimitRequest) => Effect.Effect<LimitAnswer, LimiterError>
  }
>()("@mahalla/ports/Limiter") {}

/** A budget in whole microseconds, so that sums stay exact: one costs a `step`, and `burst` may be spent ahead. */
export const limitSteps = ({ amount, window }: Pick<LimitRequest, "amount" | "window">) => {
  const step = Math.floor((window * 1_000_000) / amount)
  return { step, burst: step * amount }
}

/** Microseconds by which replicas' clocks may differ. */
export const clockSlack = 3_600_000_000

/**
 * What a limiter answers that keeps the one number of GCRA: `arrival`, the epoch microsecond at which the budget is whole again, as it
 * stands after this request.
 */
export const limitAnswer = (request: LimitRequest, arrival: number, admitted: boolean): LimitAnswer => {
  const { burst, step } = limitSteps(request)
  const spent = Math.max(0, arrival - request.now * 1000)
  const remaining = Math.max(0, Math.floor((burst - spent) / step))
  const milliseconds = (micros: number) => Math.ceil(Math.max(0, micros) / 1000)
  return {
    admitted,
    limit: request.amount,
    remaining,
    next: remaining >= request.amount ? 0 : milliseconds(spent - burst + (remaining + 1) * step),
    reset: milliseconds(spent)
  }
}

/** What every limiter refuses before it asks anybody. */
export const checkLimitRequest = (request: LimitRequest): LimiterError | undefined => {
  const { amount, key, now, tenantId, window } = request
  const mistake = !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(tenantId)
    ? "The tenant must be a UUID."
    : !/^[\x21-\x7e]{1,200}$/.test(key)
      ? "The key must have 1 to 200 printable ASCII characters and no space."
      : !Number.isInteger(window) || window < 1 || window > 2_678_400
        ? "The window must be whole seconds, 31 days at most."
        : !Number.isInteger(amount) || amount < 1 || amount > window * 1_000_000
          ? "The amount must be a whole number above 0, and at most a million for each second."
          : !Number.isSafeInteger(now) || now < 0 || now > 4_102_444_800_000
            ? "The time must be whole milliseconds since 1970."
            : undefined
  return mistake === undefined
    ? undefined
    : new LimiterError({
        reason: "InvalidRequest",
        operation: "take",
        subject: "request",
        message: `${mistake} Correct the limit.`,
        retryable: false
      })
}
