/**
 * Takes away what nobody waits for: uploads without a next byte, files that were never attached, blobs that no row names; and
 * completes what a crash left complete but not put together. Any number of processes may sweep at once.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { BlobStore } from "../../ports/BlobStore.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { completeUpload, deleteFolder } from "./complete.ts"
import { AttachmentExpired } from "./model.ts"
import { derivedKey, segmentsFolder, uploadsFolder } from "./sql.ts"

/** Rows of each sort that one turn takes at most. */
const batch = 100

interface Found {
  readonly tenantId: string
  readonly id: string
}

export interface Swept {
  readonly completed: number
  readonly expired: number
  readonly blobs: number
}

/** A failing row must not stop the others; the next turn tries it again. */
const each = Effect.fnUntraced(function* <A, E, R>(
  found: ReadonlyArray<A>,
  handle: (item: A) => Effect.Effect<number, E, R>
) {
  let sum = 0
  for (const item of found) {
    sum += yield* Effect.catchCause(handle(item), (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.as(Effect.logWarning("An attachment could not be swept and waits for the next turn", cause), 0)
    )
  }
  return sum
})

const due = (now: Date) =>
  withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      return {
        // Index attachment_complete.
        complete: yield* sql<Found>`
          select tenant_id as "tenantId", id from mahalla.attachment
          where state = 'uploading' and received = size and (completing_until is null or completing_until <= ${now})
            and expires_at > ${now} limit ${batch}`,
        // Index attachment_expiry.
        expired: yield* sql<Found>`
          select tenant_id as "tenantId", id from mahalla.attachment
          where state in ('uploading', 'stored') and expires_at is not null and expires_at <= ${now}
          order by expires_at limit ${batch}`,
        tenants: yield* sql<{ readonly tenantId: string }>`select tenant_id as "tenantId" from mahalla.tenant`
      }
    })
  )

/** Index attachment_litter. */
const litter = withPlatform(
  Effect.gen(function* () {
    const { sql } = yield* PlatformTx
    return yield* sql<Found & { readonly blobKey: string }>`
      select tenant_id as "tenantId", id, blob_key as "blobKey" from mahalla.attachment
      where state in ('rejected', 'deleted') and blob_key is not null limit ${batch}`
  })
)

const expire = (now: Date) =>
  Effect.fnUntraced(function* ({ id, tenantId }: Found) {
    const { sql } = yield* TenantTx
    const rows = yield* sql<{ sha256: string | null }>`
      update mahalla.attachment set state = 'deleted', segments = '[]', expires_at = null
      where tenant_id = ${tenantId} and id = ${id} and state in ('uploading', 'stored') and expires_at <= ${now}
      returning sha256`
    // A stored file has a receipt somewhere: that it is gone must be in the order too.
    const sha256 = rows[0]?.sha256
    if (sha256 != null) yield* appendEvent(AttachmentExpired, { attachmentId: id, sha256 })
    return rows.length
  })

/** The blob goes first, so that a crash leaves a row that asks for it again. */
const clean = Effect.fnUntraced(function* ({ blobKey, id, tenantId }: Found & { readonly blobKey: string }) {
  const blobs = yield* BlobStore
  yield* blobs.delete(blobKey)
  yield* deleteFolder(segmentsFolder(tenantId, id))
  yield* withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql`
        update mahalla.attachment set blob_key = null
        where tenant_id = ${tenantId} and id = ${id} and state in ('rejected', 'deleted')`
    )
  )
  return 1
})

/** Segments whose upload has ended: of requests that came too late, and of crashes after the row was written. */
const orphans = Effect.fnUntraced(function* (tenantId: string) {
  const blobs = yield* BlobStore
  const folder = uploadsFolder(tenantId)
  let cursor: string | undefined
  let deleted = 0
  do {
    const page = yield* blobs.list(folder, cursor === undefined ? {} : { cursor })
    const idOf = (key: string) => key.slice(folder.length).split("/")[0]!
    const ids = [...new Set(page.items.map((item) => idOf(item.key)))]
    const open = yield* withTenant(tenantId)(
      Effect.flatMap(
        TenantTx,
        ({ sql }) => sql<{ readonly id: string }>`
          select id from mahalla.attachment
          where tenant_id = ${tenantId} and id = any (${ids}::text[]::uuid[]) and state = 'uploading'`
      )
    )
    const living = new Set(open.map((row) => row.id))
    const dead = page.items.filter((item) => !living.has(idOf(item.key)))
    yield* Effect.forEach(dead, (item) => blobs.delete(item.key), { concurrency: 4, discard: true })
    deleted += dead.length
    cursor = page.cursor
  } while (cursor !== undefined)
  return deleted
})

const hour = 3_600_000

/**
 * Copies that no row names, of crashes and lost answers between the bytes and the row. Looked for among those made 24 to 48 hours ago: a copy's
 * id begins with its time, in steps of 2^24 milliseconds for six digits, so the other ones are not listed.
 */
const strays = Effect.fnUntraced(function* (tenantId: string, now: Date) {
  const blobs = yield* BlobStore
  const digits = (time: number) => Math.floor(time / 2 ** 24)
  let deleted = 0
  for (let step = digits(now.getTime() - 48 * hour); step < digits(now.getTime() - 24 * hour); step++) {
    const folder = derivedKey(tenantId, "")
    let cursor: string | undefined
    do {
      const page = yield* blobs.list(
        folder + step.toString(16).padStart(6, "0"),
        cursor === undefined ? {} : { cursor }
      )
      const ids = page.items.map((item) => item.key.slice(folder.length))
      const named = yield* withTenant(tenantId)(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ readonly id: string }>`
            select id from mahalla.attachment where tenant_id = ${tenantId} and id = any (${ids}::text[]::uuid[])`
        )
      )
      const known = new Set(named.map((row) => row.id))
      const dead = page.items.filter((_, index) => !known.has(ids[index]!))
      yield* Effect.forEach(dead, (item) => blobs.delete(item.key), { concurrency: 4, discard: true })
      deleted += dead.length
      cursor = page.cursor
    } while (cursor !== undefined)
  }
  return deleted
})

/** One turn. Every few minutes is enough. */
export const sweepUploads = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  const found = yield* due(now)
  const completed = yield* each(found.complete, ({ id, tenantId }) =>
    Effect.as(
      Effect.catchTag(completeUpload(tenantId, id), "UploadProblem", () => Effect.void),
      1
    )
  )
  const expired = yield* each(found.expired, (item) => withTenant(item.tenantId)(expire(now)(item)))
  const cleaned = yield* each(yield* litter, clean)
  const orphaned = yield* each(found.tenants, ({ tenantId }) => orphans(tenantId))
  const strayed = yield* each(found.tenants, ({ tenantId }) => strays(tenantId, now))
  return { completed, expired, blobs: cleaned + orphaned + strayed } satisfies Swept
}).pipe(Effect.withSpan("sweepUploads"))
