/** What stands behind the doors to alerts, incidents, work orders and maintenance windows. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type { CaseRecord } from "../../kernel/cases/model.ts"
import { viewOf } from "../../kernel/cases/view.ts"
import { versionAsked } from "../../kernel/http/asked.ts"
import { inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { alertDefinition } from "./alertType.ts"
import { ControlRoomApi } from "./api.ts"
import { createIncident, linkAlerts } from "./incidents.ts"
import { acknowledgeAlerts, countAlerts, listAlerts, type ListedAlert } from "./lists.ts"
import type { Severity } from "./model.ts"
import { createWindow, getWindow, listWindows, moveWindowEnd, type StoredWindow } from "./windows.ts"
import { createWorkOrder, type LogEntry, maintenanceLogOf } from "./workOrders.ts"

const alertView = ({ details, lastAt, own, quietSince, record, times }: ListedAlert) => {
  // Who may read alerts has been given that: they are staff.
  const { data, ...view } = viewOf(record, alertDefinition, "staff")
  const now = {
    ...{ endedAt: lastAt.toISOString(), times },
    ...(details === null ? {} : { details }),
    ...(quietSince === null ? {} : { quietSince: quietSince.toISOString() })
  }
  const { assigneeId = null, createdAt, id, phase, place, reference, state, territoryId, updatedAt, version } = view
  return {
    ...{ id, reference, state, phase, data: { ...data, ...now }, place, territoryId, assigneeId, own },
    ...{ version, createdAt, updatedAt }
  }
}

export const answerOf = (
  body: { readonly version: number },
  status = 200,
  headers: Readonly<Record<string, string>> = {}
) => HttpServerResponse.jsonUnsafe(body, { status, headers: { ...headers, etag: `"${body.version}"` } }) as never

const newCase = ({ id, reference, state, type, version }: CaseRecord) => ({ id, type, reference, state, version })

/** The answer of a door that makes a case. */
const caseMade = <E, R>(route: string, payload: unknown, make: Effect.Effect<CaseRecord, E, R>) =>
  Effect.map(
    once(
      route,
      payload,
      Effect.map(make, (record) => ({ status: 201, body: newCase(record) }))
    ),
    ({ body, headers, status }) => answerOf(body, status, { ...headers, location: `/v1/cases/${body.type}/${body.id}` })
  )

const windowView = ({ from, until, ...window }: StoredWindow) => ({
  ...window,
  from: from.toISOString(),
  until: until.toISOString()
})

const logView = ({ at, cost, parts, ...entry }: LogEntry) => ({
  ...entry,
  at: at.toISOString(),
  parts: parts as ReadonlyArray<Record<string, unknown>>,
  cost: cost === null ? null : String(cost)
})

const flag = (text: "true" | "false" | undefined) => (text === undefined ? undefined : text === "true")

export const alertsHandlers = HttpApiBuilder.group(ControlRoomApi, "alerts", (handlers) =>
  handlers
    .handle("listAlerts", ({ query: { acknowledged, active, severity, state, ...query } }) =>
      inTenant(
        Effect.map(
          listAlerts(
            {
              ...query,
              state: state?.split(","),
              severity: severity?.split(",") as ReadonlyArray<Severity> | undefined,
              active: flag(active),
              acknowledged: flag(acknowledged)
            },
            query
          ),
          ({ items, ...rest }) => ({ ...rest, items: items.map(alertView) })
        )
      )
    )
    .handle("alertSummary", () => inTenant(Effect.map(countAlerts, (items) => ({ items }))))
    .handle("acknowledgeAlerts", ({ payload }) =>
      inTenant(
        Effect.map(
          once(
            "alerts/acknowledgements",
            payload,
            Effect.map(acknowledgeAlerts(payload.ids), (items) => ({ status: 200, body: { items } }))
          ),
          ({ body }) => body
        )
      )
    )
)

export const workHandlers = HttpApiBuilder.group(ControlRoomApi, "controlRoomWork", (handlers) =>
  handlers
    .handle("createIncident", ({ payload }) =>
      inTenant(caseMade("incidents", payload, createIncident({ ...payload, alerts: payload.alerts ?? [] })))
    )
    .handle("linkAlerts", ({ params, payload }) =>
      inTenant(
        Effect.asVoid(
          once(
            `incidents/${params.id}/alerts`,
            payload,
            Effect.as(linkAlerts(params.id, payload.alerts), { status: 204, body: null })
          )
        )
      )
    )
    .handle("createWorkOrder", ({ payload }) => inTenant(caseMade("work-orders", payload, createWorkOrder(payload))))
    .handle("maintenanceLog", ({ params, query }) =>
      inTenant(
        Effect.map(maintenanceLogOf(params.id, query), ({ items, ...rest }) => ({ ...rest, items: items.map(logView) }))
      )
    )
)

export const windowsHandlers = HttpApiBuilder.group(ControlRoomApi, "maintenanceWindows", (handlers) =>
  handlers
    .handle("listWindows", ({ query }) =>
      inTenant(
        Effect.map(listWindows({ ...query, active: query.active === "true" }), ({ items, ...rest }) => ({
          ...rest,
          items: items.map(windowView)
        }))
      )
    )
    .handle("createWindow", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          const { assets = [], devices = [], from, reason, rules = [], territories = [], until } = payload
          const begins = from === undefined ? new Date(yield* Clock.currentTimeMillis) : new Date(from)
          const given = { assets, devices, reason, rules, territories, from: begins, until: new Date(until) }
          const made = Effect.map(createWindow(given), (window) => ({ status: 201, body: windowView(window) }))
          const { body, headers, status } = yield* once("maintenance-windows", payload, made)
          return answerOf(body, status, { ...headers, location: `/v1/maintenance-windows/${body.id}` })
        })
      )
    )
    .handle("getWindow", ({ params }) =>
      inTenant(Effect.map(getWindow(params.id), (window) => answerOf(windowView(window))))
    )
    .handle("moveWindow", ({ params, payload, request }) =>
      inTenant(
        Effect.gen(function* () {
          const ifVersion = yield* versionAsked(request)
          return answerOf(windowView(yield* moveWindowEnd(params.id, new Date(payload.until), ifVersion)))
        })
      )
    )
    .handle("endWindow", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const ifVersion = yield* versionAsked(yield* HttpServerRequest.HttpServerRequest)
          yield* moveWindowEnd(params.id, "now", ifVersion)
        })
      )
    )
)
