/** Rows of `mahalla.attachment`: the statements that several files here share. */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { TenantTx } from "../db/Database.ts"
import { isId } from "../ids.ts"
import type { Attachment } from "./model.ts"

/** A durable piece of an unfinished upload: where it starts and where it lies. */
export type Segment = readonly [start: number, key: string]

export interface UploadRow extends Attachment {
  readonly secretHash: string | null
  readonly declaredType: string | null
  readonly blobKey: string | null
  readonly reason: "media-type" | "infected" | null
  /** Bytes that are safe. */
  readonly received: number
  readonly segments: ReadonlyArray<Segment>
  readonly completingUntil: Date | null
  readonly expiresAt: Date | null
}

export const uploadColumns = (sql: SqlClient) => sql`
  id, case_id as "caseId", owner_id as "ownerId", secret_hash as "secretHash", role, derived_from as "derivedFrom", kind, name,
  declared_type as "declaredType", media_type as "mediaType", size::float8 as size, sha256, blob_key as "blobKey", state, reason,
  received::float8 as received, segments, completing_until as "completingUntil", metadata, receipt, created_at as "createdAt",
  stored_at as "storedAt", expires_at as "expiresAt"`

/** By primary key; undefined also when it is another tenant's, or no id at all. */
export const selectUpload = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  if (!isId(id)) return undefined
  const rows = yield* sql<UploadRow>`
    select ${uploadColumns(sql)} from mahalla.attachment where tenant_id = ${tenantId} and id = ${id}`
  return rows[0]
})

/** What everybody may hold: without secrets and without where the bytes lie. */
export const attachmentOf = (row: UploadRow): Attachment => ({
  id: row.id,
  caseId: row.caseId,
  ownerId: row.ownerId,
  role: row.role,
  derivedFrom: row.derivedFrom,
  kind: row.kind,
  name: row.name,
  mediaType: row.mediaType,
  size: row.size,
  sha256: row.sha256,
  state: row.state,
  metadata: row.metadata,
  receipt: row.receipt,
  createdAt: row.createdAt,
  storedAt: row.storedAt
})

/** Where an upload's segments lie until it is complete; all of them go when it ends. */
export const uploadsFolder = (tenantId: string): string => `t/${tenantId}/uploads/`
export const segmentsFolder = (tenantId: string, id: string): string => `${uploadsFolder(tenantId)}${id}/`
export const originalKey = (tenantId: string, id: string): string => `t/${tenantId}/originals/${id}`
export const derivedKey = (tenantId: string, id: string): string => `t/${tenantId}/derived/${id}`
