/**
 * The sealer: hashes what the sequencer has ordered into each tenant's tree and signs checkpoints. A batch is one transaction, nodes
 * and checkpoint together, so a killed sealer leaves nothing half; the next one goes on from the nodes that are there.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { PlatformTx, withPlatform } from "../db/Database.ts"
import { Issuer, Keys } from "../keys/Keys.ts"
import { encodeLeaf, type Leaf } from "./leaf.ts"
import { latestCheckpoint, type LogReader, prove, readLeaves, readNodes, treeSize } from "./sql.ts"
import { edgeAt, grow, hashLeaf, type Node, rootAt } from "./tree.ts"

/** The `typ` of a checkpoint. */
export const checkpointType = "mahalla-checkpoint+jwt"

/** Events sealed in one transaction at most. */
export const sealerBatch = 1_000

/** The order has a hole where the tree must go on, so nothing more is sealed in this tenant. */
export class SealError extends Data.TaggedError("SealError")<{ readonly tenantId: string; readonly message: string }> {}

export interface SealOptions {
  /** Seconds between two checkpoints of one tenant at least. The first comes at once. */
  readonly checkpointEvery: number
}

/** Nodes that were made by growing: those of a level follow one another, so their hashes go as one text. */
const insertNodes = Effect.fnUntraced(function* ({ sql, tenantId }: LogReader, nodes: ReadonlyArray<Node>) {
  const rows = [...Map.groupBy(nodes, ({ level }) => level)].map(([level, made]) => ({
    level,
    first: made[0]!.number,
    hashes: Buffer.concat(made.map(({ hash }) => hash)).toString("base64")
  }))
  // Without the offset PostgreSQL would decode the text anew for each of its hashes.
  yield* sql`
    insert into mahalla.log_node (tenant_id, level, number, hash)
    select ${tenantId}, level, first + place, substr(bytes, place * 32 + 1, 32)
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as made (level smallint, first bigint, hashes text)
    cross join lateral (select decode(hashes, 'base64') as bytes offset 0) as decoded
    cross join lateral generate_series(0, octet_length(bytes) / 32 - 1) as place`
})

/** Signs the tree as it is, unless the last checkpoint is too young or covers it. */
const checkpoint = Effect.fnUntraced(function* (reader: LogReader, size: number, options: SealOptions) {
  const { sql, tenantId } = reader
  const last = yield* latestCheckpoint(reader)
  const now = yield* Clock.currentTimeMillis
  if (size === 0 || (last !== undefined && last.size >= size)) return false
  if (last !== undefined && now - last.madeAt.getTime() < options.checkpointEvery * 1000) return false
  const [root] = yield* prove(reader, rootAt(size))
  const keys = yield* Keys
  const claims = { iss: yield* Issuer, tenant: tenantId, size, root: root!.toString("base64url") }
  const signed = yield* keys.sign("checkpoint", claims, { typ: checkpointType })
  yield* sql`
    insert into mahalla.log_checkpoint (tenant_id, size, root, signed, made_at)
    values (${tenantId}, ${size}, decode(${root!.toString("hex")}, 'hex'), ${signed}, ${new Date(now)})`
  return true
})

/** The leaves after `size`, without a hole; a defect would hide which tenant it is. */
const nextLeaves = Effect.fnUntraced(function* (reader: LogReader, size: number) {
  const rows = yield* readLeaves(reader, size, sealerBatch)
  const leaves: Array<Leaf> = []
  for (const { leaf, position } of rows) {
    if (leaf === null || position !== size + leaves.length + 1) {
      return yield* new SealError({
        tenantId: reader.tenantId,
        message: `Event ${size + leaves.length + 1} of tenant ${reader.tenantId} is not there, and nothing after it is sealed. Somebody has changed the database: compare it with a backup, and the log with a checkpoint kept outside (mahalla audit verify).`
      })
    }
    leaves.push(leaf)
  }
  return leaves
})

/** Seals one batch of one tenant and signs when it is time; returns how many events it sealed. Two at once wait for each other. */
export const sealTenant = (tenantId: string, options: SealOptions) =>
  withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const reader: LogReader = { sql, tenantId }
      yield* sql`select pg_advisory_xact_lock(hashtextextended('mahalla.sealer', hashtextextended(${tenantId}, 0)))`
      const size = yield* treeSize(reader)
      const leaves = yield* nextLeaves(reader, size)
      if (leaves.length > 0) {
        const edge = edgeAt(size)
        const known = yield* readNodes(reader, edge)
        const places = edge.map(({ level, number }) =>
          known.find((node) => node.level === level && node.number === number)
        )
        if (places.includes(undefined)) {
          return yield* new SealError({
            tenantId,
            message: `The tree of tenant ${tenantId} has lost nodes of size ${size}, and nothing more is sealed. Bring the table log_node back from a backup.`
          })
        }
        const entries = leaves.map((leaf) => hashLeaf(encodeLeaf(leaf)))
        yield* insertNodes(reader, grow(size, places as ReadonlyArray<Node>, entries).made)
      }
      // Also while more waits: under a load that never ends there would be none otherwise.
      yield* checkpoint(reader, size + leaves.length, options)
      return leaves.length
    })
  )

/** Tenants with events to seal, or with a tree that it is time to sign. */
const waiting = Effect.fnUntraced(function* (options: SealOptions) {
  const { sql } = yield* PlatformTx
  const due = new Date((yield* Clock.currentTimeMillis) - options.checkpointEvery * 1000)
  const rows = yield* sql<{ tenantId: string }>`
    select head.tenant_id as "tenantId" from mahalla.event_head head
    left join lateral (select number + 1 as size from mahalla.log_node
      where tenant_id = head.tenant_id and level = 0 order by number desc limit 1) tree on true
    left join lateral (select size, made_at from mahalla.log_checkpoint
      where tenant_id = head.tenant_id order by size desc limit 1) signed on true
    where head.position > coalesce(tree.size, 0)
       or (tree.size > coalesce(signed.size, 0) and (signed.made_at is null or signed.made_at <= ${due}))`
  return rows.map((row) => row.tenantId)
})

const failures = Metric.counter("mahalla_sealer_failures_total", {
  description: "Turns in which a tenant's events could not be sealed",
  incremental: true
})

/** Milliseconds until the next try after so many failures in a row: a second, doubled each time, five minutes at most. */
const restAfter = (failed: number) => Math.min(300_000, 1_000 * 2 ** Math.min(failed - 1, 10))

/**
 * One batch in every tenant that waits; gives how many events were sealed. A tenant that fails does not stop the others; the same sealer
 * tries it again, after a longer rest each time.
 */
export const makeSealer = (options: SealOptions) => {
  const ill = new Map<string, { readonly failed: number; readonly restsUntil: number }>()
  return Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    let sealed = 0
    for (const tenantId of yield* withPlatform(waiting(options))) {
      const { failed, restsUntil } = ill.get(tenantId) ?? { failed: 0, restsUntil: 0 }
      if (restsUntil > now) continue
      sealed += yield* sealTenant(tenantId, options).pipe(
        Effect.tap(() => Effect.sync(() => ill.delete(tenantId))),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.interrupt
            : Effect.logError("Sealing failed and will be tried again", cause).pipe(
                Effect.andThen(Metric.update(failures, 1)),
                Effect.andThen(
                  Effect.sync(() => ill.set(tenantId, { failed: failed + 1, restsUntil: now + restAfter(failed + 1) }))
                ),
                Effect.as(0)
              )
        )
      )
    }
    return sealed
  })
}
