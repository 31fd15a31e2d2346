import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import fc from "fast-check"
import { inject } from "vitest"
import { controlRooms, friday, lowPressure, onFriday, watchedCity } from "../../test/controlRooms.ts"
import type { AlertEffect, AlertOutcome, Severity } from "./model.ts"
import { applyAlertEffects } from "./raise.ts"

interface Step {
  readonly kind: "raise" | "update" | "clear"
  readonly rule: string
  readonly episode: string
  readonly severity: Severity
}

/** What the rows must say, kept in memory: per rule the active alert, and every alert there was. */
const model = () => {
  const alerts: Array<{ rule: string; episode: string; severity: Severity; times: number; active: boolean }> = []
  const known = new Set<string>()
  const take = ({ episode, kind, rule, severity }: Step): AlertOutcome["outcome"] => {
    const held = alerts.find((alert) => alert.rule === rule && alert.active)
    const name = `${rule}/${episode}`
    if (kind === "raise") {
      if (known.has(name)) return "repeated"
      known.add(name)
      if (held === undefined) {
        alerts.push({ rule, episode, severity, times: 1, active: true })
        return "raised"
      }
      Object.assign(held, { episode, severity, times: held.times + 1 })
      return "active"
    }
    if (held === undefined || held.episode !== episode) return "ignored"
    if (kind === "clear") {
      held.active = false
      return "cleared"
    }
    Object.assign(held, { severity, times: held.times + 1 })
    return "updated"
  }
  return { alerts, take }
}

const step = fc.record({
  kind: fc.constantFrom("raise", "raise", "update", "clear"),
  rule: fc.constantFrom("a", "b"),
  episode: fc.constantFrom("1", "2", "3"),
  severity: fc.constantFrom("critical", "major", "minor")
}) as fc.Arbitrary<Step>

const effectOf = ({ episode, kind, rule, severity }: Step, place: number): AlertEffect => {
  const of = { key: { rule, originator: lowPressure.key.originator }, episode, at: friday + place * 1000 }
  return kind === "raise"
    ? { ...lowPressure, ...of, kind, severity }
    : kind === "update"
      ? { ...of, kind, severity }
      : { ...of, kind }
}

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("effects", (it) => {
  it.effect("leave_the_same_alerts_however_they_are_cut_into_batches_and_however_often_a_batch_is_repeated", () =>
    onFriday(
      Effect.gen(function* () {
        const runs = fc.sample(
          fc.record({
            steps: fc.array(step, { minLength: 5, maxLength: 25 }),
            size: fc.integer({ min: 1, max: 25 }),
            again: fc.nat(24)
          }),
          25
        )
        for (const { again, size, steps } of runs) {
          const { alerts, inside } = yield* watchedCity
          const expected = model()
          for (let from = 0; from < steps.length; from += size) {
            const batch = steps.slice(from, from + size)
            // After a crash the follower begins again somewhere before: raises of known episodes must come to nothing.
            const repeats = batch.slice(0, again).filter(({ kind }) => kind === "raise")
            for (const part of [batch, repeats]) {
              const outcomes = yield* inside(applyAlertEffects(part.map(effectOf)))
              assert.deepStrictEqual(
                outcomes.map(({ outcome }) => outcome),
                part.map((one) => expected.take(one)),
                JSON.stringify({ steps, size, again })
              )
            }
          }
          assert.deepStrictEqual(
            (yield* alerts).map(({ active, data, episode, severity, times }) => ({
              rule: String(data["rule"]),
              episode,
              severity,
              times,
              active
            })),
            expected.alerts
          )
        }
      })
    )
  )
})
