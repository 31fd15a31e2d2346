/** When which step of an escalation ladder comes. Pure. */

export interface LadderStep {
  /** Its number in the ladder, from 0; one is missing where a step went with the person that it named. */
  readonly place: number
  /** Minutes without an acknowledgement. */
  readonly after: number
  readonly rotaId: string | null
  readonly role: string | null
  readonly principalId: string | null
}

export interface LadderPlan {
  /** By `after`, ascending; at least one. */
  readonly steps: ReadonlyArray<LadderStep>
  /** Minutes after which it begins again; null: it does not. */
  readonly repeatEvery: number | null
  /** How many times it begins again. */
  readonly repeatTimes: number
}

/** Where an alert is on a ladder: the step that comes next, counted among those that there are. */
export interface Rung {
  readonly round: number
  readonly step: number
}

/** Epoch milliseconds at which a step is due, `began` being when the alert was raised. */
export const dueOf = (plan: LadderPlan, began: number, { round, step }: Rung): number =>
  began + (round * (plan.repeatEvery ?? 0) + (plan.steps[step]?.after ?? 0)) * 60_000

/** Where an alert stands that waits for the step of a place, or for the next one where that is gone; undefined at the end of the last round. */
export const rungOf = (plan: LadderPlan, round: number, place: number): Rung | undefined => {
  const step = plan.steps.findIndex((one) => one.place >= place)
  return step === -1 ? nextRung(plan, { round, step: plan.steps.length }) : { round, step }
}

/** The step after this one; undefined at the end of the last round. */
export const nextRung = (plan: LadderPlan, { round, step }: Rung): Rung | undefined =>
  step + 1 < plan.steps.length
    ? { round, step: step + 1 }
    : plan.repeatEvery !== null && round < plan.repeatTimes
      ? { round: round + 1, step: 0 }
      : undefined
