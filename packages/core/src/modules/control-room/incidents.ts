/**
 * `incident`: alerts that are one matter. Its commander is the kernel's assignee; it is as bad as the worst of its alerts; they are resolved
 * with it. Two incidents that turn out to be one are merged by the kernel's own door for duplicates.
 */
import * as Effect from "effect/Effect"
import { assignCase } from "../../kernel/cases/assignment.ts"
import { defineCaseType, type FieldSchema, type TransitionContext } from "../../kernel/cases/CaseType.ts"
import { createCase } from "../../kernel/cases/create.ts"
import { linkCases, unlinkCases } from "../../kernel/cases/links.ts"
import type { Place } from "../../kernel/cases/model.ts"
import { NotFound } from "../../kernel/cases/model.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { transitionAll } from "../../kernel/cases/transitionTogether.ts"
import { visibleCase } from "../../kernel/cases/visible.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { demand } from "../../kernel/policy/Policy.ts"
import { asEngine } from "./engine.ts"
import { openIncident, weighIncident } from "./incidentParts.ts"
import { severities, type Severity, worstOf } from "./model.ts"
import { alertsOfIncident } from "./sql.ts"

const staff = { visibility: "staff" } as const
const reason: FieldSchema = { type: "string", title: "Why", minLength: 3, maxLength: 2000, ...staff }
const severity: FieldSchema = { type: "string", title: "Severity", enum: severities, ...staff }
const outcome: FieldSchema = { type: "string", title: "How it ended", minLength: 3, maxLength: 4000, ...staff }

/** The incident's open alerts are resolved in the name of whoever resolves it. */
const resolve = Effect.fnUntraced(function* ({ case: incident }: TransitionContext) {
  const open = (yield* alertsOfIncident(incident.id)).filter(({ state }) =>
    ["open", "investigating", "incident"].includes(state)
  )
  const cases = open.map(({ id }) => ({ caseId: id }))
  yield* asEngine(transitionAll({ type: "alert", transition: "resolve", cases }))
})

/** Everything that is a part of it becomes a part of the other one. */
const merge = Effect.fnUntraced(function* ({ case: incident, input }: TransitionContext<{ readonly into: string }>) {
  const { sql, tenantId } = yield* TenantTx
  const parts = yield* sql<{ id: string }>`
    select from_id as id from mahalla.case_link
    where tenant_id = ${tenantId} and to_id = ${incident.id} and kind = 'parent' order by from_id`
  for (const { id } of parts) {
    yield* unlinkCases({ fromId: id, kind: "parent", toId: incident.id })
    yield* linkCases({ fromId: id, kind: "parent", toId: input.into })
  }
  yield* weighIncident(input.into)
})

export const incidentType = defineCaseType({
  definition: {
    id: "incident",
    version: 1,
    title: { en: "Incident", uz: "Hodisa", ru: "Инцидент", ka: "ინციდენტი" },
    data: {
      properties: {
        title: { type: "string", title: "What it is", minLength: 3, maxLength: 200, ...staff },
        severity,
        outcome,
        reason
      },
      required: ["title", "severity"]
    },
    place: "optional",
    placeVisibility: "staff",
    anonymous: false,
    public: false,
    attachments: { min: 0, max: 20 },
    creatable: true,
    // Citizens may create cases of any type; this one is staff's.
    guards: ["staff"],
    initial: "open",
    states: {
      open: { title: { en: "open", uz: "ochiq", ru: "открыт", ka: "ღია" }, phase: "open" },
      resolved: { title: { en: "resolved", uz: "hal qilingan", ru: "решён", ka: "გადაწყვეტილი" }, phase: "fixed" },
      closed: { title: { en: "closed", uz: "yopilgan", ru: "закрыт", ka: "დახურული" }, phase: "closed" },
      merged: {
        title: { en: "merged into another", uz: "boshqasiga qo‘shilgan", ru: "объединён", ka: "გაერთიანებული" },
        phase: "closed"
      }
    },
    transitions: {
      weigh: {
        title: { en: "Severity changed", uz: "Og‘irligi o‘zgardi", ru: "Изменилась тяжесть", ka: "სიმძიმე შეიცვალა" },
        from: ["open"],
        to: ["open"],
        internal: true,
        input: { properties: { severity }, required: ["severity"] },
        sets: ["severity"],
        apply: "weigh"
      },
      resolve: {
        title: { en: "Resolve", uz: "Hal qilish", ru: "Решить", ka: "გადაწყვეტა" },
        from: ["open"],
        to: ["resolved"],
        input: { properties: { outcome }, required: ["outcome"] },
        sets: ["outcome"],
        apply: "resolve"
      },
      close: { title: { en: "Close", uz: "Yopish", ru: "Закрыть", ka: "დახურვა" }, from: ["resolved"], to: ["closed"] },
      reopen: {
        title: { en: "Reopen", uz: "Qayta ochish", ru: "Открыть снова", ka: "ხელახლა გახსნა" },
        from: ["resolved", "closed"],
        to: ["open"],
        input: { properties: { reason }, required: ["reason"] },
        sets: ["reason"]
      },
      merge: {
        title: { en: "Merged", uz: "Birlashtirildi", ru: "Объединено", ka: "გაერთიანდა" },
        from: ["open"],
        to: ["merged"],
        internal: true,
        input: {
          properties: { into: { type: "string", format: "uuid", title: "Incident", ...staff } },
          required: ["into"]
        },
        apply: "merge"
      }
    },
    search: ["title"]
  },
  guards: { staff: ({ case: incident }) => demand("incident.open", incident) },
  applies: {
    merge,
    resolve,
    weigh: ({ case: incident }) => Effect.succeed({ event: { previousSeverity: incident.data["severity"] } })
  }
})

export interface NewIncident {
  readonly title: string
  /** At most 100. */
  readonly alerts: ReadonlyArray<string>
  /** Without alerts; with them, default theirs. */
  readonly severity?: Severity | undefined
  readonly commanderId?: string | undefined
  /** Default: of the first alert that has one. */
  readonly place?: Place | undefined
}

/** Opens an incident with its first alerts; needs `incident.open` there, and `alert.link` for each. */
export const createIncident = Effect.fn("control-room.createIncident")(function* (given: NewIncident) {
  const alerts = []
  for (const id of given.alerts) {
    const { record } = yield* visibleCase(id)
    if (record.type !== "alert") return yield* new NotFound({ what: "alert", id })
    alerts.push(record)
  }
  const worst = worstOf(alerts.map(({ data }) => data["severity"] as Severity))
  const { id } = yield* createCase({
    type: "incident",
    data: { title: given.title, severity: alerts.length === 0 ? (given.severity ?? "indeterminate") : worst },
    place: given.place ?? alerts.find(({ place }) => place !== null)?.place ?? undefined
  })
  yield* linkAlerts(id, given.alerts)
  if (given.commanderId !== undefined) yield* assignCase({ caseId: id, assigneeId: given.commanderId })
  return yield* loadCase(id)
})

/** Makes alerts part of an open incident, all or none. */
export const linkAlerts = Effect.fn("control-room.linkAlerts")(function* (
  incidentId: string,
  alerts: ReadonlyArray<string>
) {
  yield* openIncident(incidentId)
  for (const caseId of [...new Set(alerts)].toSorted()) {
    const { record } = yield* visibleCase(caseId)
    if (record.type !== "alert") return yield* new NotFound({ what: "alert", id: caseId })
    yield* transitionCase({ caseId, transition: "link", input: { incident: incidentId } })
  }
})
