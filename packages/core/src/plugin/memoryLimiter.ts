/**
 * Limits counted inside the process: for a city that is one process and would rather not ask its database for each. They begin anew with
 * it, and two replicas would admit twice as much.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { checkLimitRequest, clockSlack, limitAnswer, Limiter, type LimitRequest, limitSteps } from "../ports/Limiter.ts"
import { apiVersion, definePlugin } from "./definePlugin.ts"

/** Budgets kept before those that are whole again are looked for. */
const sweepAt = 10_000

const make = (): Limiter["Service"] => {
  const arrivals = new Map<string, number>()
  let sweepNext = sweepAt
  const sweep = (now: number) => {
    for (const [key, arrival] of arrivals) if (arrival <= now) arrivals.delete(key)
    sweepNext = Math.max(sweepAt, arrivals.size * 2)
  }
  const take = (request: LimitRequest) => {
    const { burst, step } = limitSteps(request)
    const now = request.now * 1000
    const key = `${request.tenantId.toLowerCase()} ${request.key}`
    const kept = arrivals.get(key) ?? 0
    // Further ahead than one clock could bring it.
    const held = kept - burst - clockSlack > now ? 0 : kept
    const arrival = Math.max(held, now) + step
    if (arrival - burst > now) return limitAnswer(request, held, false)
    arrivals.set(key, arrival)
    if (arrivals.size > sweepNext) sweep(now)
    return limitAnswer(request, arrival, true)
  }
  return Limiter.of({
    take: Effect.fn("Limiter.take")(function* (request) {
      const refusal = checkLimitRequest(request)
      if (refusal !== undefined) return yield* refusal
      return take(request)
    })
  })
}

export const layerMemoryLimiter: Layer.Layer<Limiter> = Layer.sync(Limiter, make)

/** Instead of the limiter on PostgreSQL: `defaults({ limiter: memoryLimiter({}) })`. */
export const memoryLimiter = definePlugin({
  id: "@mahalla/memory-limiter",
  apiVersion,
  config: Schema.Struct({}),
  provides: [Limiter],
  layer: () => layerMemoryLimiter
})
