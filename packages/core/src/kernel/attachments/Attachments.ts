/**
 * Stored files for the rest of the engine: find them, attach them to a case, read them, add copies. Everything happens in the tenant
 * of the `Actor`, and joins the surrounding transaction where there is one.
 */
import { createHash, type Hash } from "node:crypto"
import { open as openFile } from "node:fs/promises"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import { BlobStore, type BlobStoreError } from "../../ports/BlobStore.ts"
import { InvalidInput, NotFound } from "../cases/model.ts"
import { Database, TenantTx, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { newId } from "../ids.ts"
import { Actor } from "../policy/Principal.ts"
import { type Download, downloadOf, parseRange } from "./download.ts"
import { type Attachment, AttachmentDamaged, AttachmentStored, RangeNotSatisfiable } from "./model.ts"
import { attachmentOf, derivedKey, selectUpload, type UploadRow, uploadColumns } from "./sql.ts"
import { isOwn, parseToken } from "./uploads.ts"

export interface AddDerived<E> {
  /** The original. */
  readonly from: string
  /** `standard`, `poster`, `frame` … One copy of an original has a kind and a name; a second one replaces the first. */
  readonly kind: string
  readonly name: string
  readonly mediaType: string
  readonly stream: Stream.Stream<Uint8Array, E>
  readonly metadata?: Readonly<Record<string, unknown>>
}

export class Attachments extends Context.Service<
  Attachments,
  {
    /** In whatever state it is. */
    readonly get: (id: string) => Effect.Effect<Attachment, NotFound | SqlError, Actor>
    /** Stored originals and copies, oldest first. */
    readonly forCase: (caseId: string) => Effect.Effect<ReadonlyArray<Attachment>, SqlError, Actor>
    /** The copies of an original, oldest first. */
    readonly derivedFrom: (id: string) => Effect.Effect<ReadonlyArray<Attachment>, SqlError, Actor>
    /** A stored file, or the part that a `Range` header names, with the headers of the answer (RFC 9110, section 14). */
    readonly open: (
      id: string,
      range?: string
    ) => Effect.Effect<Download, NotFound | RangeNotSatisfiable | SqlError, Actor>
    /** Stores a copy. Safe to repeat. */
    readonly addDerived: <E>(
      copy: AddDerived<E>
    ) => Effect.Effect<Attachment, NotFound | BlobStoreError | SqlError, Actor>
    /** Writes a stored file to `directory/id` for tools that want a path, checks its hash on the way, and returns the path. */
    readonly toFile: (
      id: string,
      directory: string
    ) => Effect.Effect<string, NotFound | AttachmentDamaged | BlobStoreError | SqlError, Actor>
  }
>()("@mahalla/kernel/Attachments") {
  static readonly layer: Layer.Layer<Attachments, never, Database | BlobStore> = Layer.effect(
    Attachments,
    Effect.suspend(() => make)
  )
}

const missing = (id: string) => new NotFound({ what: "attachment", id })

const stored = Effect.fnUntraced(function* (id: string) {
  const actor = yield* Actor
  const row = yield* withTenant(actor.tenantId)(selectUpload(id))
  if (row === undefined || row.state !== "stored" || row.blobKey === null || row.sha256 === null)
    return yield* missing(id)
  return { ...row, blobKey: row.blobKey, sha256: row.sha256 }
})

/** Index attachment_of_case. */
const ofCase = Effect.fnUntraced(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<UploadRow>`
    select ${uploadColumns(sql)} from mahalla.attachment
    where tenant_id = ${tenantId} and case_id = ${caseId} and state = 'stored' order by id`
})

/** Index attachment_derived. */
const copiesOf = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<UploadRow>`
    select ${uploadColumns(sql)} from mahalla.attachment
    where tenant_id = ${tenantId} and derived_from = ${id} and state = 'stored' order by id`
})

const hashing = <E>(stream: Stream.Stream<Uint8Array, E>, hash: Hash, seen: (bytes: number) => void) =>
  Stream.tap(stream, (chunk) =>
    Effect.sync(() => {
      hash.update(chunk)
      seen(chunk.length)
    })
  )

/** The copy's row in the place of an equal one, and the event. */
const insertDerived = Effect.fnUntraced(function* (
  copy: Omit<AddDerived<never>, "stream">,
  id: string,
  facts: { readonly size: number; readonly sha256: string }
) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  // The original's lock keeps two runs of one job from both inserting, and its case from changing in between.
  const [original] = yield* sql<{ caseId: string | null; ownerId: string | null }>`
    select case_id as "caseId", owner_id as "ownerId" from mahalla.attachment
    where tenant_id = ${tenantId} and id = ${copy.from} and role = 'original' and state = 'stored' for update`
  if (original === undefined) return yield* missing(copy.from)
  yield* sql`
    update mahalla.attachment set state = 'deleted'
    where tenant_id = ${tenantId} and derived_from = ${copy.from} and kind = ${copy.kind} and name = ${copy.name} and state = 'stored'`
  const rows = yield* sql<UploadRow>`
    insert into mahalla.attachment
      (tenant_id, id, case_id, owner_id, role, derived_from, kind, name, media_type, size, received, sha256, blob_key, state, metadata,
       created_at, stored_at)
    values (${tenantId}, ${id}, ${original.caseId}, ${original.ownerId}, 'derived', ${copy.from}, ${copy.kind}, ${copy.name},
            ${copy.mediaType}, ${facts.size}::bigint, ${facts.size}::bigint, ${facts.sha256}, ${derivedKey(tenantId, id)}, 'stored',
            ${JSON.stringify(copy.metadata ?? {})}::text::jsonb, ${now}, ${now})
    returning ${uploadColumns(sql)}`
  const actor = yield* Actor
  yield* appendEvent(
    AttachmentStored,
    {
      attachmentId: id,
      role: "derived",
      derivedFrom: copy.from,
      kind: copy.kind,
      mediaType: copy.mediaType,
      ...facts
    },
    { actorId: actor.id, ...(original.caseId === null ? {} : { caseId: original.caseId }) }
  )
  return attachmentOf(rows[0]!)
})

const make = Effect.gen(function* () {
  const blobs = yield* BlobStore
  const database = yield* Database
  const tenant = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.flatMap(Actor, (actor) =>
      Effect.provideService(withTenant(actor.tenantId)(self), Database, database)
    ) as Effect.Effect<A, E | SqlError, Exclude<R, TenantTx | Database> | Actor>
  const list = (rows: ReadonlyArray<UploadRow>) => rows.map(attachmentOf)
  return Attachments.of({
    get: (id) =>
      Effect.flatMap(tenant(selectUpload(id)), (row) =>
        row === undefined ? Effect.fail(missing(id)) : Effect.succeed(attachmentOf(row))
      ),
    forCase: (caseId) => Effect.map(tenant(ofCase(caseId)), list),
    derivedFrom: (id) => Effect.map(tenant(copiesOf(id)), list),
    open: Effect.fn("Attachments.open")(function* (id, header) {
      const row = yield* tenant(stored(id))
      const range = parseRange(header, row.size)
      if (range === "unsatisfiable") {
        return yield* new RangeNotSatisfiable({
          size: row.size,
          message: `The file has ${row.size} bytes; ask for a range within them.`
        })
      }
      return downloadOf(attachmentOf(row), range, blobs.get(row.blobKey, range))
    }),
    addDerived: Effect.fn("Attachments.addDerived")(function* (copy) {
      const { tenantId } = yield* Actor
      const id = yield* newId
      const key = derivedKey(tenantId, id)
      const hash = createHash("sha256")
      let size = 0
      const body = hashing(copy.stream, hash, (bytes) => void (size += bytes))
      const forget = Effect.ignore(blobs.delete(key))
      yield* Effect.onError(blobs.put(key, body, { contentType: copy.mediaType }), () => forget)
      // Only what surely has no row loses its bytes now: a commit whose answer was lost may have taken place. The sweeper looks again a day later.
      return yield* Effect.tapErrorTag(
        tenant(insertDerived(copy, id, { size, sha256: hash.digest("hex") })),
        "NotFound",
        () => forget
      )
    }),
    toFile: Effect.fn("Attachments.toFile")(function* (id, directory) {
      const row = yield* tenant(stored(id))
      const path = join(directory, row.id)
      const hash = createHash("sha256")
      yield* Effect.acquireUseRelease(
        Effect.promise(() => openFile(path, "w", 0o600)),
        (file) =>
          Stream.runForEach(
            hashing(blobs.get(row.blobKey), hash, () => {}),
            (chunk) => Effect.promise(() => file.writeFile(chunk))
          ),
        (file) => Effect.promise(() => file.close())
      )
      const found = hash.digest("hex")
      if (found === row.sha256) return path
      return yield* new AttachmentDamaged({
        id: row.id,
        message: `Attachment ${row.id} has the SHA-256 ${found} and arrived with ${row.sha256}: the blob store changed it. Restore it from a backup.`
      })
    })
  })
})

/**
 * Attaches the actor's own stored originals, and the copies made of them, to a case of the same transaction. Anonymous senders name
 * theirs as `id.secret`, as in the upload's address. Fails with `InvalidInput` that points at each one that is not to be had.
 */
export const attachToCase = Effect.fn("attachToCase")(function* (given: ReadonlyArray<string>, caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const tokens = given.map(parseToken)
  const ids = tokens.flatMap((token) => (token === undefined ? [] : [token.id]))
  const rows = yield* sql<Pick<UploadRow, "id" | "ownerId" | "secretHash" | "state" | "caseId">>`
    select id, owner_id as "ownerId", secret_hash as "secretHash", state, case_id as "caseId" from mahalla.attachment
    where tenant_id = ${tenantId} and id = any (${ids}::text[]::uuid[]) and role = 'original'
    order by id for update`
  const byId = new Map(rows.map((row) => [row.id, row]))
  const issues = tokens.flatMap((token, index) => {
    const row = token === undefined ? undefined : byId.get(token.id)
    const detail =
      row === undefined || !isOwn(row, actor, token?.secret)
        ? "There is no such attachment, or it is not yours."
        : ids.indexOf(row.id) !== index
          ? "This attachment is named twice."
          : row.state === "uploading"
            ? "This upload is not complete; finish it first."
            : row.state !== "stored"
              ? "This file was not accepted or is gone; send it again."
              : row.caseId !== null && row.caseId !== caseId
                ? "This attachment belongs to another case."
                : undefined
    return detail === undefined ? [] : [{ pointer: `/attachments/${index}`, detail }]
  })
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  yield* sql`
    update mahalla.attachment set case_id = ${caseId}, expires_at = null
    where tenant_id = ${tenantId} and (id = any (${ids}::text[]::uuid[]) or derived_from = any (${ids}::text[]::uuid[]))`
})
