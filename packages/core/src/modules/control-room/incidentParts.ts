/** What alerts and incidents ask of each other. */
import * as Effect from "effect/Effect"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { visibleCase } from "../../kernel/cases/visible.ts"
import { worstOf } from "./model.ts"
import { alertsOfIncident } from "./sql.ts"

/** An incident that the actor knows of and that is not over. */
export const openIncident = Effect.fnUntraced(function* (id: string) {
  const { record } = yield* visibleCase(id)
  if (record.type !== "incident") return yield* new NotFound({ what: "incident", id })
  if (record.state !== "open") {
    const message = `The incident ${record.reference} is ${record.state}. Reopen it first, or open another.`
    return yield* new Refused({ code: "incident-over", message })
  }
  return record
})

/** An incident is as bad as the worst of its alerts. */
export const weighIncident = Effect.fnUntraced(function* (id: string) {
  const incident = yield* loadCase(id, { lock: true })
  if (incident.state !== "open") return
  const alerts = yield* alertsOfIncident(id)
  const severity = worstOf(alerts.map((alert) => alert.severity))
  if (alerts.length === 0 || severity === incident.data["severity"]) return
  yield* transitionCase({ caseId: id, transition: "weigh", input: { severity } })
})
