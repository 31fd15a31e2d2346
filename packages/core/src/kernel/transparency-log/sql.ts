/** The log as rows. Reads take a client, because the sealer reads as `platform` and the doors as their tenant. */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Leaf } from "./leaf.ts"
import type { Node, NodePlace, Recipe } from "./tree.ts"

/** A reader of one tenant's rows: `TenantTx`, or the sealer's transaction with the tenant it is at. */
export interface LogReader {
  readonly sql: SqlClient
  readonly tenantId: string
}

/** Events in the tree. The primary key of `log_node`, read from its end, serves it. */
export const treeSize = Effect.fnUntraced(function* ({ sql, tenantId }: LogReader) {
  const rows = yield* sql<{ size: bigint }>`
    select number + 1 as size from mahalla.log_node where tenant_id = ${tenantId} and level = 0 order by number desc limit 1`
  return Number(rows[0]?.size ?? 0n)
})

/**
 * The named nodes, in any order; those that are not there are left out. Each is looked up by itself: the table grows faster than what the
 * planner knows of it, and a join would read all of it.
 */
export const readNodes = Effect.fnUntraced(function* ({ sql, tenantId }: LogReader, places: ReadonlyArray<NodePlace>) {
  if (places.length === 0) return []
  const rows = yield* sql<{ level: number; number: bigint; hash: string }>`
    select node.level, node.number, encode(node.hash, 'hex') as hash
    from jsonb_to_recordset(${JSON.stringify(places)}::text::jsonb) as asked (level smallint, number bigint)
    cross join lateral (
      select * from mahalla.log_node one
      where one.tenant_id = ${tenantId} and one.level = asked.level and one.number = asked.number limit 1
    ) node`
  return rows.map(({ hash, level, number }): Node => ({
    level,
    number: Number(number),
    hash: Buffer.from(hash, "hex")
  }))
})

/** Reads what a proof needs and makes it. */
export const prove = Effect.fnUntraced(function* (reader: LogReader, recipe: Recipe) {
  return recipe.fold(yield* readNodes(reader, recipe.needs))
})

interface LeafRow extends Omit<Leaf, "position" | "type"> {
  readonly position: bigint
  /** Null where the event's own row is gone. */
  readonly type: string | null
  /** Its payload was dropped by age. */
  readonly dropped: boolean
}

const leafOf = (row: LeafRow): Leaf | null =>
  row.type === null || row.dropped
    ? null
    : {
        position: Number(row.position),
        id: row.id,
        type: row.type,
        caseId: row.caseId,
        actorId: row.actorId,
        occurredAt: row.occurredAt,
        payload: row.payload,
        commitments: row.commitments,
        traceId: row.traceId
      }

/** Events after a position as the log sees them, in order. Primary keys of `event_order` and `event` serve it. */
export const readLeaves = Effect.fnUntraced(function* ({ sql, tenantId }: LogReader, after: number, limit: number) {
  const rows = yield* sql<LeafRow>`
    select o.position, o.event_id as id, e.type, e.case_id as "caseId", e.actor_id as "actorId",
           to_char(e.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "occurredAt",
           e.payload, e.commitments, e.trace_id as "traceId", o.position <= coalesce(gone.position, 0) as dropped
    from (select * from mahalla.event_order where tenant_id = ${tenantId} and position > ${after} order by position limit ${limit}) o
    left join mahalla.event e on e.tenant_id = o.tenant_id and e.id = o.event_id
    left join mahalla.event_dropped gone on gone.tenant_id = o.tenant_id
    order by o.position`
  return rows.map((row) => ({ position: Number(row.position), id: row.id, dropped: row.dropped, leaf: leafOf(row) }))
})

/** Hashes of events after a position and up to another, in order. */
export const readLeafHashes = Effect.fnUntraced(function* ({ sql, tenantId }: LogReader, after: number, upTo: number) {
  return yield* sql<{ position: bigint; hash: string }>`
    select number + 1 as position, encode(hash, 'hex') as hash from mahalla.log_node
    where tenant_id = ${tenantId} and level = 0 and number >= ${after} and number < ${upTo} order by number`
})

export interface Checkpoint {
  /** Events that it covers. */
  readonly size: number
  /** base64url. */
  readonly root: string
  /** Compact JWS (RFC 7515). */
  readonly signed: string
  readonly madeAt: Date
}

interface CheckpointRow {
  readonly size: bigint
  readonly root: string
  readonly signed: string
  readonly madeAt: Date
}

const checkpointOf = (row: CheckpointRow): Checkpoint => ({
  size: Number(row.size),
  root: Buffer.from(row.root, "hex").toString("base64url"),
  signed: row.signed,
  madeAt: row.madeAt
})

/** Checkpoints above a size, smallest first. */
export const readCheckpoints = Effect.fnUntraced(function* (
  { sql, tenantId }: LogReader,
  above: number,
  limit: number
) {
  const rows = yield* sql<CheckpointRow>`
    select size, encode(root, 'hex') as root, signed, made_at as "madeAt" from mahalla.log_checkpoint
    where tenant_id = ${tenantId} and size > ${above} order by size limit ${limit}`
  return rows.map(checkpointOf)
})

/** The largest; undefined before the first. */
export const latestCheckpoint = Effect.fnUntraced(function* ({ sql, tenantId }: LogReader) {
  const rows = yield* sql<CheckpointRow>`
    select size, encode(root, 'hex') as root, signed, made_at as "madeAt" from mahalla.log_checkpoint
    where tenant_id = ${tenantId} order by size desc limit 1`
  return rows[0] === undefined ? undefined : checkpointOf(rows[0])
})

/** An event's place in the tenant's order; undefined when there is no such event, or it has none yet. */
export const positionOf = Effect.fnUntraced(function* ({ sql, tenantId }: LogReader, eventId: string) {
  const rows = yield* sql<{ position: bigint }>`
    select position from mahalla.event_order where tenant_id = ${tenantId} and event_id = ${eventId}`
  return rows[0] === undefined ? undefined : Number(rows[0].position)
})
