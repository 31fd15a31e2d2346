/**
 * The authorities that this city files with, each behind a circuit: where one does not answer it is left alone for a while, and what is
 * filed with it waits in its order. Every process has circuits of its own; one process at a time works on an authority's queue.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { type Database, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { Deployment } from "../../kernel/Deployment.ts"
import { Authorities } from "../../kernel/ports.ts"
import { type Authority, isFilingNumber } from "../../ports/Authority.ts"
import { askSoon } from "./ask.ts"
import { tenantOfNumber } from "./sql.ts"

/** Calls in a row without an answer after which nobody asks for a while. */
const tripsAfter = 5
/** How long: twice as much each time that it was in vain, at most ten minutes. */
const openFor = Schedule.min([Schedule.exponential("30 seconds"), Schedule.spaced("10 minutes")])

const circuit = Metric.gauge("mahalla_authority_circuit", {
  description: "Whether an authority is asked, by authority: 0 it is, 1 it is tried, 2 it is left alone for a while"
})
const levels = { Closed: 0, HalfOpen: 1, Open: 2 } as const

export type CircuitState = "closed" | "half-open" | "open"

/** The deployment does not fit what the module has to do. */
export class FilingSetupError extends Data.TaggedError("FilingSetupError")<{ readonly message: string }> {}

export class FilingAuthorities extends Context.Service<
  FilingAuthorities,
  {
    /** By instance, in the order of the configuration. */
    readonly all: ReadonlyMap<string, Authority["Service"]>
    /** Runs a call that says whether the authority was heard; fails with `CircuitBreakerError`, and runs nothing, while it is left alone. */
    readonly through: (
      authority: string
    ) => <E, R>(call: Effect.Effect<boolean, E, R>) => Effect.Effect<boolean, E | CircuitBreaker.CircuitBreakerError, R>
    /** As this process sees it. `rest`: milliseconds that it is still left alone. */
    readonly circuit: (authority: string) => Effect.Effect<{ readonly state: CircuitState; readonly rest: number }>
  }
>()("@mahalla/filings/FilingAuthorities") {}

const states = { Closed: "closed", HalfOpen: "half-open", Open: "open" } as const

/** Notices are hints: whoever they name is asked about at once, and nothing else follows. */
const hear = (instance: string, authority: Authority["Service"]) =>
  (authority.notices ?? Stream.empty).pipe(
    Stream.filter(isFilingNumber),
    Stream.runForEach((number) =>
      Effect.flatMap(withPlatform(tenantOfNumber(instance, number)), (tenantId) =>
        tenantId === undefined ? Effect.void : withTenant(tenantId)(askSoon(number))
      ).pipe(
        Effect.catchCause((cause) => Effect.logWarning(`A notice of ${instance} was not heeded; its turn comes`, cause))
      )
    ),
    Effect.catch((error) => Effect.logWarning(`${instance} gives no notices: ${error.message}`)),
    Effect.andThen(authority.notices === undefined ? Effect.never : Effect.sleep("10 seconds")),
    Effect.forever
  )

const make = Effect.gen(function* () {
  const all = yield* Authorities
  const { mode, publicUrl } = yield* Deployment
  if (all.size > 0 && mode === "production" && publicUrl === undefined)
    return yield* new FilingSetupError({
      message:
        "filings() gives authorities addresses of the evidence and needs to know where the world sees the city. Set publicUrl, as https://city.example."
    })
  const breaker = yield* CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(tripsAfter),
    openDuration: openFor
  }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()))
  const show = (key: string, state: keyof typeof levels) =>
    Metric.update(Metric.withAttributes(circuit, { authority: key }), levels[state])
  for (const key of all.keys()) yield* show(key, "Closed")
  yield* breaker.transitions.pipe(
    Stream.runForEach(({ from, key, to }) =>
      Effect.andThen(
        show(key, to),
        from === "Closed"
          ? Effect.logWarning(`${key} does not answer; what is filed with it waits`)
          : to === "Closed"
            ? Effect.logInfo(`${key} answers again`)
            : Effect.void
      )
    ),
    Effect.forkScoped
  )
  for (const [instance, authority] of all) yield* Effect.forkScoped(hear(instance, authority))
  return FilingAuthorities.of({
    all,
    through: (key) => (call) =>
      call.pipe(
        breaker.execute({
          key,
          classify: (exit) =>
            exit._tag === "Failure"
              ? // The database's, or a fault of ours.
                CircuitBreaker.ignored
              : exit.value
                ? CircuitBreaker.success
                : CircuitBreaker.failure()
        })
      ),
    circuit: (key) =>
      breaker.state(key).pipe(
        Effect.map((state) => ({
          state: states[state._tag],
          rest: state._tag === "Open" ? Duration.toMillis(state.retryAfter) : 0
        })),
        Effect.orDie
      )
  })
})

export const layerFilingAuthorities: Layer.Layer<FilingAuthorities, FilingSetupError, Authorities | Database> =
  Layer.effect(FilingAuthorities, make)
