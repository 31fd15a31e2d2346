/**
 * Guards before what can be abused, and alerts to staff where somebody tries: codes by phone, payouts, copied tokens, the log. Every city with
 * people in it has it; `identity` needs it.
 */
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { clearQuietAlerts } from "./alerts.ts"
import { securityAlert } from "./cases.ts"
import { alertConsumer } from "./consumers.ts"
import { sweepTraffic } from "./traffic.ts"

export { raiseAlert } from "./alerts.ts"
export { securityAlert } from "./cases.ts"
export { codeUsed, guardCode, signInFailed } from "./codes.ts"

export const security = (): Module =>
  defineModule({
    id: "security",
    caseTypes: [securityAlert],
    consumers: [alertConsumer],
    schedules: [
      { id: "security.clear", cron: "* * * * *", run: clearQuietAlerts },
      { id: "security.traffic", cron: "15 * * * *", run: sweepTraffic }
    ],
    permissions: ["security-alert.read", "security-alert.acknowledge", "security-alert.clear"],
    roles: [
      {
        id: "security-officer",
        title: "Security officer",
        permissions: ["security-alert.*", "case-type.read", "principal.read", "event.read"]
      }
    ],
    migrations: [readMigration("security", new URL("./migrations/0001_security.sql", import.meta.url))]
  })
