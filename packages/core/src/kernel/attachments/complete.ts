/**
 * From the last byte to a stored original: type, hash, one blob out of the segments, scan, row, event and receipt. Every step may be
 * repeated, so whoever comes by after a crash (the sender with HEAD or PATCH, or the sweeper) takes it up again.
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { BlobStore } from "../../ports/BlobStore.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { takeHash, UploadHashes } from "./hashes.ts"
import { uploadLimits } from "./limits.ts"
import { AttachmentRejected, AttachmentScanner, AttachmentStored } from "./model.ts"
import { signReceipt } from "./receipt.ts"
import { canonicalType, headSize, kindOf, otherTypes, sniff, tailSize } from "./sniff.ts"
import { originalKey, segmentsFolder, selectUpload, type UploadRow, uploadColumns } from "./sql.ts"
import { refuse, rejection } from "./uploads.ts"

/** Seconds that a claim on the completion lasts without renewal. */
const claimSeconds = 30

/** Makes the completion ours unless somebody is at it. */
const claim = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const rows = yield* sql<UploadRow>`
    update mahalla.attachment set completing_until = ${new Date(now + claimSeconds * 1000)}
    where tenant_id = ${tenantId} and id = ${id} and state = 'uploading' and received = size
      and (completing_until is null or completing_until <= ${new Date(now)})
    returning ${uploadColumns(sql)}`
  return rows[0]
})

const renew = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  yield* sql`
    update mahalla.attachment set completing_until = ${new Date(now + claimSeconds * 1000)}
    where tenant_id = ${tenantId} and id = ${id} and state = 'uploading'`
})

const release = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.attachment set completing_until = null where tenant_id = ${tenantId} and id = ${id} and state = 'uploading'`
})

/** Deletes the blobs under a prefix. */
export const deleteFolder = Effect.fnUntraced(function* (prefix: string) {
  const blobs = yield* BlobStore
  for (;;) {
    const { items } = yield* blobs.list(prefix)
    if (items.length === 0) return
    yield* Effect.forEach(items, (item) => blobs.delete(item.key), { concurrency: 4, discard: true })
  }
})

/** Ends an upload whose bytes must not stay. The segments go now, what is left goes with the sweeper. */
export const reject = Effect.fn("rejectUpload")(function* (
  tenantId: string,
  row: Pick<UploadRow, "id" | "ownerId" | "caseId">,
  reason: "media-type" | "infected",
  mediaType: string | null,
  detail: string
) {
  yield* withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const ended = yield* sql`
        update mahalla.attachment set state = 'rejected', reason = ${reason}, media_type = ${mediaType}, expires_at = null
        where tenant_id = ${tenantId} and id = ${row.id} and state = 'uploading' returning id`
      if (ended.length === 0) return
      yield* appendEvent(AttachmentRejected, { attachmentId: row.id, reason, detail }, { actorId: row.ownerId })
    })
  )
  yield* Effect.ignore(deleteFolder(segmentsFolder(tenantId, row.id)))
  return yield* rejection({ reason, mediaType })
})

/** The type of a file by its leading bytes; rejects the upload when it is not one that the tenant takes. */
export const checkType = Effect.fnUntraced(function* (
  tenantId: string,
  row: Pick<UploadRow, "id" | "ownerId" | "caseId">,
  head: Uint8Array
) {
  const limits = yield* withTenant(tenantId)(uploadLimits)
  const mediaType = yield* sniff(head)
  if (mediaType !== undefined && limits.mediaTypes.some((allowed) => canonicalType(allowed) === mediaType))
    return mediaType
  return yield* reject(tenantId, row, "media-type", mediaType ?? null, mediaType ?? "unknown")
})

/** Of the bytes as they arrived. */
const sha256Of = Effect.fnUntraced(function* (row: UploadRow) {
  const known = takeHash(yield* UploadHashes, row.id, row.size)
  if (known !== undefined) return known.digest("hex")
  const blobs = yield* BlobStore
  const hash = createHash("sha256")
  yield* Stream.fromIterable(row.segments).pipe(
    Stream.flatMap(([, key]) => blobs.get(key)),
    Stream.runForEach((chunk) => Effect.sync(() => hash.update(chunk)))
  )
  return hash.digest("hex")
})

const readRange = Effect.fnUntraced(function* (key: string, start: number, end: number) {
  const blobs = yield* BlobStore
  return Buffer.concat(yield* Stream.runCollect(blobs.get(key, { start, end })))
})

/** Leading bytes, also where a dropped connection left a short first segment. */
const headOf = Effect.fnUntraced(function* (row: UploadRow) {
  let head = Buffer.alloc(0)
  for (const [index, [start, key]] of row.segments.entries()) {
    const size = (row.segments[index + 1]?.[0] ?? row.size) - start
    head = Buffer.concat([head, yield* readRange(key, 0, Math.min(size, headSize - head.length) - 1)])
    if (head.length === headSize) break
  }
  return head
})

/** Row, event and receipt in one transaction; nothing when somebody else was faster. */
const store = Effect.fnUntraced(function* (
  row: UploadRow,
  facts: { readonly mediaType: string; readonly sha256: string; readonly otherTypes: ReadonlyArray<string> }
) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const limits = yield* uploadLimits
  const kind = kindOf(facts.mediaType)
  const metadata = {
    ...row.metadata,
    ...(facts.otherTypes.length === 0 ? {} : { couldAlsoBe: facts.otherTypes })
  }
  const expiresAt = row.caseId === null ? new Date(now + limits.unattachedDays * 24 * 3_600_000) : null
  const rows = yield* sql`
    update mahalla.attachment
    set state = 'stored', kind = ${kind}, media_type = ${facts.mediaType}, sha256 = ${facts.sha256}, stored_at = ${new Date(now)},
        segments = '[]', completing_until = null, expires_at = ${expiresAt}, metadata = ${JSON.stringify(metadata)}::text::jsonb
    where tenant_id = ${tenantId} and id = ${row.id} and state = 'uploading' returning id`
  if (rows.length === 0) return
  const event = yield* appendEvent(
    AttachmentStored,
    {
      attachmentId: row.id,
      role: "original",
      derivedFrom: null,
      kind,
      mediaType: facts.mediaType,
      size: row.size,
      sha256: facts.sha256
    },
    { actorId: row.ownerId, ...(row.caseId === null ? {} : { caseId: row.caseId }) }
  )
  const receipt = yield* signReceipt({
    sub: row.ownerId ?? "anonymous",
    tenant: tenantId,
    attachment: row.id,
    sha256: facts.sha256,
    size: row.size,
    mediaType: facts.mediaType,
    receivedAt: new Date(now).toISOString(),
    event
  })
  yield* sql`update mahalla.attachment set receipt = ${receipt} where tenant_id = ${tenantId} and id = ${row.id}`
})

const work = Effect.fnUntraced(function* (tenantId: string, row: UploadRow) {
  const blobs = yield* BlobStore
  const scanner = yield* AttachmentScanner
  const head = yield* headOf(row)
  const mediaType = yield* checkType(tenantId, row, head)
  const sha256 = yield* sha256Of(row)
  const key = originalKey(tenantId, row.id)
  yield* blobs.compose(
    row.segments.map(([, segment]) => segment),
    key,
    { contentType: mediaType, size: row.size }
  )
  const tail = yield* readRange(key, Math.max(0, row.size - tailSize), row.size - 1)
  if (scanner !== undefined) {
    const verdict = yield* scanner(blobs.get(key)).pipe(
      Effect.tapError((error) => Effect.logError(`The scanner failed on attachment ${row.id}`, error)),
      Effect.mapError(() =>
        refuse(
          503,
          "scanner-unavailable",
          "Files cannot be scanned at the moment; this one is kept. Try again in a minute.",
          {},
          { "retry-after": "60" }
        )
      )
    )
    if (!verdict.clean) yield* reject(tenantId, row, "infected", mediaType, verdict.name)
  }
  yield* withTenant(tenantId)(store(row, { mediaType, sha256, otherTypes: otherTypes(mediaType, head, tail) }))
})

/** Puts a complete upload together, or finds that it is; while somebody else is at it the answer is 423. */
export const completeUpload = Effect.fn("completeUpload")(function* (tenantId: string, id: string) {
  const claimed = yield* withTenant(tenantId)(claim(id))
  if (claimed !== undefined) {
    const heartbeat = Effect.sleep(Duration.seconds(claimSeconds / 3)).pipe(
      Effect.andThen(Effect.ignore(withTenant(tenantId)(renew(id)))),
      Effect.forever
    )
    yield* Effect.raceFirst(work(tenantId, claimed), heartbeat).pipe(
      // Somebody who took our claim for lost may have finished before us and taken the segments away.
      Effect.catchTag("BlobStoreError", (error) =>
        Effect.flatMap(withTenant(tenantId)(selectUpload(id)), (row) =>
          row?.state === "uploading" ? Effect.fail(error) : Effect.void
        )
      ),
      Effect.ensuring(Effect.ignore(withTenant(tenantId)(release(id))))
    )
    // Best effort: what stays is no longer named by any row, and the sweeper takes it.
    yield* Effect.ignore(deleteFolder(segmentsFolder(tenantId, id)))
  }
  const row = yield* withTenant(tenantId)(selectUpload(id))
  if (row?.state === "stored") return row
  if (row?.state === "rejected") return yield* rejection(row)
  return yield* refuse(
    423,
    "completing",
    "The file is being put together. Ask again in a moment.",
    {},
    { "retry-after": "1" }
  )
})
