/** Rows of `civic_case` as records. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { type CaseRecord, NotFound } from "./model.ts"

export interface CaseRow {
  readonly id: string
  readonly type: string
  readonly type_version: number
  readonly reference: string
  readonly state: string
  readonly phase: CaseRecord["phase"]
  readonly data: Record<string, unknown>
  readonly territory_id: string | null
  readonly territory_path: ReadonlyArray<string> | null
  readonly longitude: number | null
  readonly latitude: number | null
  readonly owner_id: string | null
  readonly assignee_id: string | null
  readonly claimed_by: string | null
  readonly claimed_until: Date | null
  readonly version: number
  readonly created_at: Date
  readonly updated_at: Date
}

export const recordOf = (row: CaseRow): CaseRecord => ({
  id: row.id,
  type: row.type,
  typeVersion: row.type_version,
  reference: row.reference,
  state: row.state,
  phase: row.phase,
  data: row.data,
  place: row.longitude === null || row.latitude === null ? null : { longitude: row.longitude, latitude: row.latitude },
  territoryId: row.territory_id,
  territoryPath: row.territory_path ?? [],
  ownerId: row.owner_id,
  assigneeId: row.assignee_id,
  claimedBy: row.claimed_by,
  claimedUntil: row.claimed_until,
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at
})

/** The columns of a record; never `c.*`, for the driver cannot read tsvector. */
export const caseColumns = `c.id, c.type, c.type_version, c.reference, c.state, c.phase, c.data, c.territory_id, t.path as territory_path,
  c.longitude, c.latitude, c.owner_id, c.assignee_id, c.claimed_by, c.claimed_until, c.version, c.created_at, c.updated_at`

/** Reads a case without asking for rights; `lock` keeps it for this transaction. */
export const loadCase = Effect.fnUntraced(function* (id: string, options: { readonly lock?: boolean } = {}) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<CaseRow>`
    select ${sql.literal(caseColumns)} from mahalla.civic_case c
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    where c.tenant_id = ${tenantId} and c.id = ${id} ${options.lock === true ? sql.literal("for update of c") : sql.literal("")}`
  const row = rows[0]
  return row === undefined ? yield* new NotFound({ what: "case", id }) : recordOf(row)
})
