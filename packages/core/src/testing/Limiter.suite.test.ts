import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import { layerMemoryLimiter } from "../plugin/memoryLimiter.ts"
import { Limiter, type LimitAnswer, limitAnswer, LimiterError, type LimitRequest } from "../ports/Limiter.ts"
import { LimiterControl, limiterSuite } from "./Limiter.suite.ts"

type Service = Limiter["Service"]
type Take = Service["take"]

/** In one process every member is the same one. */
const withPeer = (limiter: Layer.Layer<Limiter>, peer?: Layer.Layer<Limiter>) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const context = yield* Layer.build(limiter)
      const service = Context.get(context, Limiter)
      const other = peer === undefined ? service : Context.get(yield* Layer.build(Layer.fresh(peer)), Limiter)
      return Context.add(context, LimiterControl, { peer: other })
    })
  )

limiterSuite.run({ describe, it }, { name: "memory", layer: withPeer(layerMemoryLimiter) })

const spoiled = (spoil: (take: Take) => Take, peer?: Layer.Layer<Limiter>) =>
  withPeer(
    Layer.effect(
      Limiter,
      Effect.map(Limiter, ({ take }) => Limiter.of({ take: spoil(take) }))
    ).pipe(Layer.provide(layerMemoryLimiter)),
    peer
  )

const answering = (change: (answer: LimitAnswer, request: LimitRequest) => LimitAnswer) =>
  spoiled((take) => (request) => Effect.map(take(request), (answer) => change(answer, request)))
const asking = (change: (request: LimitRequest) => LimitRequest) =>
  spoiled((take) => (request) => take(change(request)))

/** Reads, waits and writes: what two do at once is counted once. */
const racing = () => {
  const arrivals = new Map<string, number>()
  return spoiled(
    () => (request) =>
      Effect.gen(function* () {
        const held = Math.max(arrivals.get(request.key) ?? 0, request.now * 1000)
        yield* Effect.yieldNow
        const step = (request.window * 1_000_000) / request.amount
        const admitted = held + step - request.window * 1_000_000 <= request.now * 1000
        if (admitted) arrivals.set(request.key, held + step)
        return limitAnswer(request, held + (admitted ? step : 0), admitted)
      })
  )
}

/** Sums of fractions: the last one may be a hair too late. */
const inexact = () => {
  const arrivals = new Map<string, number>()
  return spoiled(
    () => (request) =>
      Effect.sync(() => {
        const held = Math.max(arrivals.get(request.key) ?? 0, request.now)
        const step = (request.window * 1000) / request.amount
        const admitted = held + step - request.window * 1000 <= request.now
        if (admitted) arrivals.set(request.key, held + step)
        return limitAnswer(request, (held + (admitted ? step : 0)) * 1000, admitted)
      })
  )
}

const broken: Record<string, () => Layer.Layer<Limiter | LimiterControl>> = {
  "admits exactly so many of 400 at once": racing,
  "admits exactly so many of 400 at once in two processes": () => spoiled((take) => take, layerMemoryLimiter),
  "admits exactly so many where they do not divide the window": inexact,
  "admits one more when one's time has passed, and not a moment before": () =>
    asking((request) => ({ ...request, now: Math.ceil(request.now / 60_000) * 60_000 })),
  "saves nothing up beyond the whole amount": () => asking((request) => ({ ...request, amount: request.amount + 1 })),
  "takes nothing when it refuses": () => {
    const taken = new Map<string, number>()
    return spoiled((take) => (request) => {
      const times = (taken.get(request.key) ?? 0) + 1
      taken.set(request.key, times)
      return times > 40 ? Effect.succeed(limitAnswer(request, Infinity, false)) : take(request)
    })
  },
  "says how many are left and when there are more": () =>
    answering((answer) => ({ ...answer, remaining: answer.remaining + 1 })),
  "says when the next one is admitted, and keeps its word": () =>
    answering((answer) => ({ ...answer, next: answer.next - 1 })),
  "counts each key by itself": () => asking((request) => ({ ...request, key: request.key.toLowerCase() })),
  "counts each tenant by itself": () =>
    asking((request) => ({ ...request, tenantId: "00000000-0000-4000-8000-000000000000" })),
  "gives nobody more by a clock that is behind": () =>
    asking((request) => ({ ...request, key: `${request.key}:${request.now}` })),
  "begins anew after a clock that was wrong by a day": () => {
    const latest = new Map<string, number>()
    return asking((request) => {
      const now = Math.max(latest.get(request.key) ?? 0, request.now)
      latest.set(request.key, now)
      return { ...request, now }
    })
  },
  "refuses what is no limit": () =>
    spoiled(
      (take) => (request) =>
        Effect.mapError(
          take(request),
          (cause) =>
            new LimiterError({
              reason: "Unavailable",
              operation: "take",
              subject: "request",
              message: "Try later.",
              retryable: true,
              cause
            })
        )
    )
}

describe("Limiter suite", () => {
  it("has a broken limiter for every rule", () => {
    expect(Object.keys(broken).toSorted()).toEqual(limiterSuite.rules.map((rule) => rule.name).toSorted())
  })
  for (const [rule, layer] of Object.entries(broken))
    it(`notices a limiter that breaks: ${rule}`, async () => {
      expect(await limiterSuite.verdict(rule, layer())).toBe("broken")
    })
})
