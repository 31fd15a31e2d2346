/** What the steps of an alert do beside changing its state: the row that rules look at follows the case, in the same transaction. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type ApplyResult, defineCaseType, type TransitionContext } from "../../kernel/cases/CaseType.ts"
import { linkCases, unlinkCases } from "../../kernel/cases/links.ts"
import { type CaseRecord, Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { sent } from "../../kernel/db/pipelined.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { alertDefinition } from "./alertType.ts"
import { AlertEscalated, climbOn, ladderFor } from "./climb.ts"
import { asEngine } from "./engine.ts"
import { escalationNotice } from "./escalationNotice.ts"
import { openIncident, weighIncident } from "./incidentParts.ts"
import { type Severity, severities, statusOf } from "./model.ts"
import { clearRows, incidentOf, offLadders } from "./sql.ts"

const isCleared = (alert: CaseRecord) => alert.data["clearedAt"] !== undefined
const isAcknowledged = (alert: CaseRecord) => alert.data["acknowledgedAt"] !== undefined

/** Where nobody is at work on it, an alert that is cleared and acknowledged is over. */
const restingState = (alert: CaseRecord) =>
  alert.state === "open" || alert.state === "resolved" ? "closed" : alert.state

/** Whoever does something about alerts has seen them: nobody else need be called. What it changes in the data of each. */
const seen = Effect.fnUntraced(function* (alerts: ReadonlyArray<CaseRecord>) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const at = new Date(yield* Clock.currentTimeMillis)
  const ids = alerts.filter((alert) => !isAcknowledged(alert)).map(({ id }) => id)
  if (ids.length > 0) {
    yield* sent(
      sql`update mahalla.alert set acknowledged_at = ${at} where tenant_id = ${tenantId} and case_id = any (${ids}::uuid[])`
    )
    yield* offLadders(ids)
  }
  return alerts.map((alert) =>
    isAcknowledged(alert)
      ? {}
      : {
          acknowledgedAt: at.toISOString(),
          ...(actor.id === null ? {} : { acknowledgedBy: actor.id }),
          status: statusOf(isCleared(alert), true)
        }
  )
})

const see = Effect.fnUntraced(function* (contexts: ReadonlyArray<TransitionContext>) {
  const data = yield* seen(contexts.map((context) => context.case))
  return data.map((fields): ApplyResult => ({ data: fields }))
})

const acknowledge = Effect.fnUntraced(function* (contexts: ReadonlyArray<TransitionContext>) {
  const data = yield* seen(contexts.map((context) => context.case))
  return contexts.map(({ case: alert }, place): ApplyResult => {
    const cleared = isCleared(alert)
    const to = cleared ? restingState(alert) : alert.state
    return { data: data[place]!, to, event: { status: statusOf(cleared, true) } }
  })
})

/** By the rule at the moment of its reading, by hand now. */
const clear = Effect.fnUntraced(function* (
  contexts: ReadonlyArray<TransitionContext<{ readonly at?: string; readonly reason?: string }>>
) {
  const now = new Date(yield* Clock.currentTimeMillis)
  const times = contexts.map(({ case: { id }, input }) => ({ caseId: id, at: input.at ?? now.toISOString() }))
  const rows = yield* clearRows(times, now)
  yield* offLadders(times.map(({ caseId }) => caseId))
  return contexts.map(({ case: alert, input }, place): ApplyResult => {
    const row = rows.get(alert.id)
    const status = statusOf(true, isAcknowledged(alert))
    return {
      // What happened while it was suppressed needs nobody's acknowledgement.
      to: alert.state === "suppressed" ? "closed" : isAcknowledged(alert) ? restingState(alert) : alert.state,
      data: {
        status,
        clearedAt: times[place]!.at,
        ...(row === undefined
          ? {}
          : {
              endedAt: row.lastAt.toISOString(),
              times: row.times,
              ...(row.details === null ? {} : { details: row.details })
            }),
        ...(input.reason === undefined ? {} : { reason: input.reason })
      },
      event: { status }
    }
  })
})

/** Worse than before calls whoever is called for that; an acknowledgement stays one. */
const change = Effect.fnUntraced(function* ({
  case: alert,
  input
}: TransitionContext<{ readonly severity?: Severity; readonly flapping?: boolean }>) {
  const { sql, tenantId } = yield* TenantTx
  const before = alert.data["severity"] as Severity
  const severity = input.severity ?? before
  yield* sql`
    update mahalla.alert set severity = ${severity}, flapping = coalesce(${input.flapping ?? null}, flapping)
    where tenant_id = ${tenantId} and case_id = ${alert.id}`
  if (severity === before) return { to: alert.state }
  const changed = { ...alert, data: { ...alert.data, severity } }
  const isWorse = severities.indexOf(severity) < severities.indexOf(before)
  const ladder =
    isWorse && alert.state !== "suppressed" && !isAcknowledged(alert) ? yield* ladderFor(changed) : undefined
  if (ladder !== undefined) yield* climbOn(ladder, [changed], false)
  if (alert.state === "incident") {
    const incident = yield* incidentOf(alert.id)
    if (incident !== undefined) yield* asEngine(weighIncident(incident))
  }
  return { to: alert.state, event: { previousSeverity: before } }
})

const leave = (alertId: string, incident: string) =>
  asEngine(Effect.andThen(unlinkCases({ fromId: alertId, kind: "parent", toId: incident }), weighIncident(incident)))

const link = Effect.fnUntraced(function* ({ case: alert, input }: TransitionContext<{ readonly incident: string }>) {
  yield* openIncident(input.incident)
  // One that came back after its incident was resolved is part of that still.
  const before = yield* incidentOf(alert.id)
  if (before !== undefined && before !== input.incident) yield* leave(alert.id, before)
  yield* asEngine(linkCases({ fromId: alert.id, kind: "parent", toId: input.incident }))
  yield* asEngine(weighIncident(input.incident))
  const [data] = yield* seen([alert])
  return { data: data! } satisfies ApplyResult
})

const unlink = Effect.fnUntraced(function* ({ case: alert }: TransitionContext) {
  const incident = yield* incidentOf(alert.id)
  if (incident === undefined) return {}
  yield* leave(alert.id, incident)
  return { event: { incident } }
})

const refuseIf = (holds: boolean, code: string, message: string) =>
  holds ? Effect.fail(new Refused({ code, message })) : Effect.void

export const alertType = defineCaseType({
  definition: alertDefinition,
  guards: {
    active: ({ case: alert }) => refuseIf(isCleared(alert), "already-cleared", "The alert is cleared already."),
    cleared: ({ case: alert }) =>
      refuseIf(
        !isCleared(alert),
        "still-active",
        "The condition still holds. Wait until the rule clears the alert, or clear it by hand with a reason."
      ),
    unacknowledged: ({ case: alert }) =>
      refuseIf(isAcknowledged(alert), "already-acknowledged", "Somebody has acknowledged the alert already.")
  },
  together: { acknowledge, clear, see },
  applies: {
    change,
    link,
    settle: ({ case: alert }) => Effect.succeed({ to: isCleared(alert) ? "closed" : "resolved" }),
    unlink
  },
  notices: { [AlertEscalated.id]: escalationNotice }
})
