import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { dueOf, type LadderPlan, nextRung, type Rung, rungOf } from "./ladder.ts"

const step = (after: number, place: number) => ({ place, after, rotaId: null, role: null, principalId: "somebody" })

const anyPlan = fc
  .record({
    afters: fc.uniqueArray(fc.nat(300), { minLength: 1, maxLength: 8 }),
    gap: fc.option(fc.integer({ min: 1, max: 60 }), { nil: null }),
    repeatTimes: fc.nat(5)
  })
  .map(({ afters, gap, repeatTimes }): LadderPlan => {
    const steps = afters.toSorted((a, b) => a - b).map(step)
    return { steps, repeatEvery: gap === null ? null : steps.at(-1)!.after + gap, repeatTimes }
  })

describe("a ladder", () => {
  it("takes_every_step_of_every_round_once_and_never_goes_back_in_time", () => {
    fc.assert(
      fc.property(anyPlan, (plan) => {
        const dues: Array<number> = []
        let rung: Rung | undefined = { round: 0, step: 0 }
        while (rung !== undefined) {
          dues.push(dueOf(plan, 0, rung))
          expect(rungOf(plan, rung.round, plan.steps[rung.step]!.place)).toEqual(rung)
          rung = nextRung(plan, rung)
        }
        const rounds = plan.repeatEvery === null ? 1 : plan.repeatTimes + 1
        expect(dues.length).toBe(plan.steps.length * rounds)
        expect(dues).toEqual(dues.toSorted((a, b) => a - b))
      })
    )
  })
})
