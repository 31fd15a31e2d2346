/** What the reports module reads and writes beside the kernel's tables. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import type { Finding } from "../../ports/Detector.ts"
import type { FindingRow } from "./model.ts"

/** Ids of a report's violations in the given states. Index `case_link_to`. */
export const openViolations = Effect.fnUntraced(function* (
  reportId: string,
  states: ReadonlyArray<string> = ["proposed"]
) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select c.id from mahalla.case_link l join mahalla.civic_case c on c.tenant_id = l.tenant_id and c.id = l.from_id
    where l.tenant_id = ${tenantId} and l.to_id = ${reportId} and l.kind = 'parent' and c.type = 'traffic-violation' and c.state = any (${states})
    order by c.id`
  return rows.map((row) => row.id)
})

export const parentOf = Effect.fnUntraced(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ to_id: string }>`
    select to_id from mahalla.case_link where tenant_id = ${tenantId} and from_id = ${caseId} and kind = 'parent'`
  return rows[0]?.to_id
})

/** Replaces what was found in an attachment, so that a job run twice leaves one set. Frames are named when their copies are there. */
export const storeFindings = Effect.fn("reports.storeFindings")(function* (options: {
  readonly caseId: string
  readonly attachmentId: string
  readonly model: string
  readonly findings: ReadonlyArray<Finding>
}) {
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    delete from mahalla.finding where tenant_id = ${tenantId} and case_id = ${options.caseId} and attachment_id = ${options.attachmentId}`
  for (const finding of options.findings) {
    yield* sql`
      insert into mahalla.finding
        (tenant_id, id, case_id, attachment_id, kind, at, box, text, country, format, confidence, certain, model, created_at)
      values (${tenantId}, ${yield* newId}, ${options.caseId}, ${options.attachmentId}, ${finding.kind}, ${finding.at ?? null},
              ${JSON.stringify(finding.box)}::text::jsonb, ${finding.text ?? null}, ${finding.country ?? null}, ${finding.format ?? null},
              ${finding.confidence}, ${finding.certain}, ${options.model}, ${at})`
  }
})

/** Names the kept frame of all findings of its moment. Index `finding_attachment`. */
export const frameOfFindings = Effect.fnUntraced(function* (options: {
  readonly attachmentId: string
  readonly at: number
  readonly frameId: string
}) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.finding set frame_id = ${options.frameId}
    where tenant_id = ${tenantId} and attachment_id = ${options.attachmentId} and at = ${options.at}`
})

/** All findings of a report, surest first. Index `finding_case`. */
export const findingsOf = Effect.fnUntraced(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<FindingRow>`
    select id, case_id, attachment_id, frame_id, kind, at, box, text, country, format, confidence, certain, model
    from mahalla.finding where tenant_id = ${tenantId} and case_id = ${caseId} order by confidence desc, id`
})
