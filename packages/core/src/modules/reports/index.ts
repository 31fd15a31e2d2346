/**
 * Reports of traffic violations: a citizen's video or photo becomes findings, standard copies and proposed violations; inspectors decide each; an
 * accepted one is rewarded, or is filed first with an authority where the city has one (module `filings`). Use it for e-jarima and anything
 * like it.
 */
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { reportsApiLayer, ReportsApi } from "./api.ts"
import { trafficReport, trafficViolation } from "./cases.ts"
import { decisionConsumer, lateFileConsumer, rewardConsumer } from "./consumer.ts"
import { detectJob, encodeJob, settleJob } from "./jobs.ts"
import { OffenceChanged } from "./model.ts"

export { DetectorPatience } from "./detect.ts"
export { trafficReport, trafficViolation } from "./cases.ts"
export { putOffence } from "./offences.ts"
export type { Offence } from "./model.ts"

export const reports = (): Module =>
  defineModule({
    id: "reports",
    requires: ["payouts"],
    caseTypes: [trafficReport, trafficViolation],
    events: [OffenceChanged],
    consumers: [lateFileConsumer, rewardConsumer, decisionConsumer],
    jobs: [detectJob, encodeJob, settleJob],
    permissions: ["offence.change", "finding.read"],
    migrations: [readMigration("reports", new URL("./migrations/0001_reports.sql", import.meta.url))],
    api: { definition: ReportsApi, layer: reportsApiLayer }
  })
