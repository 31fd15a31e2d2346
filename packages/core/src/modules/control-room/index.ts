/**
 * The control room: alerts that rules raise, incidents that they become, work orders that mend what is wrong; maintenance windows, who is on
 * call, and how an alert that nobody sees climbs. It knows nothing of how rules come to their findings: give `applyAlertEffects` what they
 * found, in the transaction in which they wrote it down. Use it wherever something is watched: pipes, doors, machines.
 */
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { ControlRoomApi } from "./api.ts"
import { clearCalm } from "./calm.ts"
import { alertType } from "./cases.ts"
import { AlertEscalated, climbLadders } from "./climb.ts"
import { alertsHandlers, windowsHandlers, workHandlers } from "./handlers.ts"
import { incidentType } from "./incidents.ts"
import { LadderChanged } from "./ladders.ts"
import { controlRoomOfPerson } from "./people.ts"
import { controlRoomRetention } from "./retention.ts"
import { RotaChanged } from "./rotas.ts"
import { laddersHandlers, rotasHandlers } from "./rotasHandlers.ts"
import { releaseSuppressed, WindowChanged, WindowOpened } from "./windows.ts"
import { MaintenanceLogged, workOrderType } from "./workOrders.ts"

export type { AlertEffect, AlertKey, AlertOutcome, RaiseAlert } from "./model.ts"
export { alertType } from "./cases.ts"
export { createIncident, incidentType, linkAlerts } from "./incidents.ts"
export { applyAlertEffects } from "./raise.ts"
export { activeAlertsOf } from "./sql.ts"
export { createWorkOrder, maintenanceLogOf, workOrderType } from "./workOrders.ts"

/** Roles: whoever watches and acts; who is on call and how alerts climb are an administrator's to say. */
export const controlRoom = (): Module =>
  defineModule({
    id: "control-room",
    caseTypes: [alertType, incidentType, workOrderType],
    events: [AlertEscalated, LadderChanged, MaintenanceLogged, RotaChanged, WindowChanged, WindowOpened],
    schedules: [
      { id: "control-room.calm", cron: "* * * * *", run: clearCalm },
      { id: "control-room.ladders", cron: "* * * * *", run: climbLadders },
      { id: "control-room.windows", cron: "* * * * *", run: releaseSuppressed }
    ],
    permissions: [
      "incident.open",
      "ladder.manage",
      "ladder.read",
      "maintenance-log.read",
      "maintenance-window.manage",
      "maintenance-window.read",
      "rota.manage",
      "rota.read"
    ],
    roles: [
      {
        id: "control-room-operator",
        title: "Control room operator",
        permissions: [
          "alert.*",
          "incident.*",
          "work-order.*",
          "maintenance-log.read",
          "maintenance-window.*",
          "ladder.read",
          "rota.read",
          "case-type.read",
          "principal.read",
          "attachment.read",
          "attachment.create",
          "attachment.attach",
          "device.read",
          "reading.read",
          "hydraulic-zone.read",
          "leak.accept",
          "asset.read"
        ]
      }
    ],
    people: [controlRoomOfPerson],
    retention: controlRoomRetention,
    migrations: [
      readMigration("control-room", new URL("./migrations/0001_control-room.sql", import.meta.url)),
      readMigration("control-room", new URL("./migrations/0002_members.sql", import.meta.url))
    ],
    api: {
      definition: ControlRoomApi,
      layer: HttpApiBuilder.layer(ControlRoomApi).pipe(
        Layer.provide([alertsHandlers, workHandlers, windowsHandlers, rotasHandlers, laddersHandlers])
      )
    }
  })
