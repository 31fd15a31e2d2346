/**
 * Conformance suites as data: a list of rules that anything behind a port must keep. The test runner is injected, so a plugin
 * author uses the one they have; a broken fake is held against a single rule to show that the rule can fail.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Context from "effect/Context"
import type * as Scope from "effect/Scope"

/** `describe` and `it` of vitest, node:test, jest, mocha. */
export interface Runner {
  readonly describe: (name: string, body: () => void) => unknown
  readonly it: (name: string, body: () => Promise<void>, timeout?: number) => unknown
}

/** One promise of a port. It fails by failing, dying or an assertion; it runs against a fresh instance. */
export interface Rule<Id, Service> {
  /** The promise in words, as in `lets exactly one of many racers put an absent blob`. */
  readonly name: string
  /** A reason to leave it out for a service that says it lacks the ability; an Effect where that must be looked up in the layer. */
  readonly unless?: (service: Service) => string | undefined | Effect.Effect<string | undefined>
  readonly check: (service: Service) => Effect.Effect<void, unknown, Id | Scope.Scope>
}

export interface SuiteOptions<Id> {
  readonly name: string
  readonly layer: Layer.Layer<Id, unknown>
  /** Rules left out, each with its reason, which is printed. */
  readonly skip?: ReadonlyArray<{ readonly rule: string; readonly reason: string }>
  /** Milliseconds for one rule. Default 60,000. */
  readonly timeout?: number
}

export interface Suite<Id, Service> {
  readonly port: string
  readonly rules: ReadonlyArray<Rule<Id, Service>>
  /** Registers every rule with the runner. */
  readonly run: (runner: Runner, options: SuiteOptions<Id>) => void
  /** Holds one rule against a layer and tells how it ended; for broken fakes. */
  readonly verdict: (rule: string, layer: Layer.Layer<Id, unknown>) => Promise<"kept" | "broken" | "skipped">
}

export const makeSuite = <Id, Service>(
  port: string,
  tag: Context.Key<Id, Service>,
  rules: ReadonlyArray<Rule<Id, Service>>
): Suite<Id, Service> => {
  const hold = (rule: Rule<Id, Service>, layer: Layer.Layer<Id, unknown>) =>
    Effect.gen(function* () {
      const service = yield* tag
      const lacking = rule.unless?.(service)
      const reason = Effect.isEffect(lacking) ? yield* lacking : lacking
      if (reason !== undefined) return reason
      yield* Effect.scoped(rule.check(service) as Effect.Effect<void, unknown, Id | Scope.Scope>)
      return undefined
    }).pipe(Effect.provide(Layer.fresh(layer))) as Effect.Effect<string | undefined, unknown>
  return {
    port,
    rules,
    run: (runner, options) => {
      const known = new Set(rules.map((rule) => rule.name))
      for (const { rule } of options.skip ?? [])
        if (!known.has(rule)) throw new Error(`${port} suite has no rule "${rule}"`)
      runner.describe(`${port}: ${options.name}`, () => {
        for (const rule of rules) {
          const skipped = options.skip?.find((entry) => entry.rule === rule.name)
          if (skipped !== undefined) {
            runner.it(`${rule.name} (left out: ${skipped.reason})`, async () => {})
            continue
          }
          runner.it(
            rule.name,
            async () => {
              const reason = await Effect.runPromise(hold(rule, options.layer))
              if (reason !== undefined) console.info(`${port}: ${options.name}: left out "${rule.name}": ${reason}`)
            },
            options.timeout ?? 60_000
          )
        }
      })
    },
    verdict: async (name, layer) => {
      const rule = rules.find((candidate) => candidate.name === name)
      if (rule === undefined) throw new Error(`${port} suite has no rule "${name}"`)
      const exit = await Effect.runPromiseExit(hold(rule, layer))
      return exit._tag === "Failure" ? "broken" : exit.value === undefined ? "kept" : "skipped"
    }
  }
}
