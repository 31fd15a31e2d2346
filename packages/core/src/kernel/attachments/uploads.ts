/** Beginning, finding and ending an upload: who may, and how much. The bytes come in `receive.ts`. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../db/Database.ts"
import { problem } from "../http/problems.ts"
import { isId, newId } from "../ids.ts"
import { may } from "../policy/Policy.ts"
import { Actor, type Principal } from "../policy/Principal.ts"
import { type UploadLimits, uploadLimits } from "./limits.ts"
import { UploadProblem } from "./model.ts"
import { originalKey, selectUpload, type UploadRow } from "./sql.ts"

export const refuse = (...given: Parameters<typeof problem>) => new UploadProblem({ answer: problem(...given) })

/** What names an upload in its address: the id and, when the sender is anonymous, the secret that only they hold. */
export interface UploadToken {
  readonly id: string
  readonly secret: string | undefined
}

export const parseToken = (text: string): UploadToken | undefined => {
  const [id = "", secret, ...rest] = text.split(".")
  return rest.length === 0 && isId(id) && secret !== "" ? { id, secret } : undefined
}

/** A new upload's token as text. */
export const newToken = Effect.gen(function* () {
  const actor = yield* Actor
  const id = yield* newId
  return actor.id === null ? `${id}.${randomBytes(24).toString("base64url")}` : id
})

const hashOf = (secret: string) => createHash("sha256").update(secret).digest("hex")

/** Whether an upload or attachment is the principal's own: by owner, or by the secret when it has none. */
export const isOwn = (
  row: Pick<UploadRow, "ownerId" | "secretHash">,
  principal: Principal,
  secret: string | undefined
): boolean => {
  if (principal.kind === "system") return true
  if (row.ownerId !== null) return row.ownerId === principal.id
  if (row.secretHash === null || secret === undefined) return false
  return timingSafeEqual(Buffer.from(row.secretHash, "hex"), Buffer.from(hashOf(secret), "hex"))
}

const notFound = () =>
  refuse(404, "not-found", "There is no such upload, or it is not yours. Begin a new one with POST.")

const gone = () => refuse(410, "gone", "This upload waited too long or was ended. Begin a new one with POST.")

export const rejection = (row: Pick<UploadRow, "reason" | "mediaType">): UploadProblem =>
  row.reason === "infected"
    ? refuse(422, "infected", "The scanner found something harmful in this file; it was not kept. Send another file.")
    : refuse(
        415,
        "media-type",
        `By its content this file is ${row.mediaType ?? "of no type that we know"}, which is not accepted here. Send a photo, a video or a PDF.`,
        row.mediaType === null ? {} : { code: row.mediaType }
      )

/** The actor's upload in the state it is in; problems when it is not theirs, or has ended badly. */
export const findUpload = Effect.fn("findUpload")(function* (text: string) {
  const actor = yield* Actor
  const token = parseToken(text)
  if (token === undefined) return yield* notFound()
  const row = yield* withTenant(actor.tenantId)(selectUpload(token.id))
  if (row === undefined || row.role !== "original" || !isOwn(row, actor, token.secret)) return yield* notFound()
  if (row.state === "rejected") return yield* rejection(row)
  const now = yield* Clock.currentTimeMillis
  const late = row.state === "uploading" && row.expiresAt !== null && row.expiresAt.getTime() <= now
  if (late || row.state === "deleted") return yield* gone()
  return row
})

/** The case that an upload names must be the actor's own, or one whose evidence they look after, and have room for another file. */
const checkCase = Effect.fnUntraced(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const unknown = refuse(400, "invalid-input", "Upload-Metadata names a case that does not exist or that is not yours.")
  if (!isId(caseId)) return yield* unknown
  const [found] = yield* sql<{ ownerId: string | null; path: ReadonlyArray<string>; most: number | null }>`
    select c.owner_id as "ownerId", coalesce(t.path, '{}') as path,
           (select (definition -> 'attachments' ->> 'max')::int from mahalla.case_type k where k.id = c.type order by version desc limit 1) as most
    from mahalla.civic_case c left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    where c.tenant_id = ${tenantId} and c.id = ${caseId} for update of c`
  if (found === undefined) return yield* unknown
  if (found.ownerId === null || found.ownerId !== actor.id) {
    const decision = yield* may("attachment.attach", { territoryPath: found.path, ownerId: found.ownerId })
    if (!decision.allowed) return yield* unknown
  }
  // Behind the lock of the case, so that of two that come at once the last place is for one.
  const [used] = yield* sql<{ files: number }>`
    select count(*)::int as files from mahalla.attachment
    where tenant_id = ${tenantId} and case_id = ${caseId} and role = 'original' and state in ('uploading', 'stored')`
  if (found.most !== null && used!.files >= found.most)
    return yield* refuse(
      409,
      "case-full",
      `This case has ${used!.files} files already; ${found.most} are the most it takes.`
    )
})

/** Exact under concurrency: one sender's uploads begin one after another. Index `attachment_of_owner`. */
const checkQuota = Effect.fnUntraced(function* (limits: UploadLimits, size: number, now: number) {
  const { sql, tenantId } = yield* TenantTx
  const { id: ownerId } = yield* Actor
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`upload:${tenantId}:${ownerId ?? "anonymous"}`}, 0))`
  const [used] = yield* sql<{ open: number; bytes: number }>`
    select count(*) filter (where state = 'uploading')::int as open,
           coalesce(sum(case when state in ('uploading', 'stored') then size else received end), 0)::float8 as bytes
    from mahalla.attachment
    where tenant_id = ${tenantId} and owner_id is not distinct from ${ownerId}::uuid and role = 'original'
      and created_at > ${new Date(now - 24 * 3_600_000)}`
  const most =
    ownerId === null
      ? { open: limits.anonymousOpenUploads, bytes: limits.anonymousBytesPerDay }
      : { open: limits.openUploads, bytes: limits.bytesPerDay }
  const tooMany = (detail: string, retryAfter: string) =>
    refuse(429, "too-many-requests", detail, {}, { "retry-after": retryAfter })
  if (used!.open >= most.open)
    return yield* tooMany(`${most.open} uploads are unfinished. Finish or end one of them first.`, "60")
  if (used!.bytes + size > most.bytes)
    return yield* tooMany("This is more than may be sent within 24 hours. Send it tomorrow, or a smaller file.", "3600")
})

/** A name for people: without folders and control characters, at most 255 characters. */
const fileName = (given: string | null | undefined): string | null => {
  const name = (given ?? "")
    .split(/[/\\]/)
    .at(-1)!
    .replaceAll(/[\u0000-\u001f\u007f]/g, "")
    .trim()
    .slice(0, 255)
  return name === "" ? null : name
}

/** Only for people to compare; what makes no media type is left out. */
const declaredType = (given: string | null | undefined): string | null =>
  given != null && /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(given) ? given : null

/** Writes the row of a new upload. No byte has been taken yet. */
export const beginUpload = Effect.fn("beginUpload")(function* (
  text: string,
  size: number,
  metadata: Readonly<Record<string, string | null>>
) {
  const actor = yield* Actor
  const { id, secret } = parseToken(text)!
  const now = yield* Clock.currentTimeMillis
  return yield* withTenant(actor.tenantId)(
    Effect.gen(function* () {
      const { sql, tenantId } = yield* TenantTx
      const limits = yield* uploadLimits
      if (!(size > 0)) return yield* refuse(400, "empty-file", "The file is empty. Choose another one.")
      if (size > limits.maxSize)
        return yield* refuse(413, "too-large", `A file may have ${limits.maxSize} bytes at most; this one has ${size}.`)
      const caseId = metadata["case"] ?? null
      if (caseId !== null) yield* checkCase(caseId)
      yield* checkQuota(limits, size, now)
      const expiresAt = new Date(now + limits.unfinishedHours * 3_600_000)
      // Loaded already by whoever speaks tus; others begin no uploads.
      const { Metadata } = yield* Effect.promise(() => import("@tus/server"))
      yield* sql`
        insert into mahalla.attachment
          (tenant_id, id, case_id, owner_id, secret_hash, role, name, declared_type, size, blob_key, state, metadata, created_at, expires_at)
        values (${tenantId}, ${id}, ${caseId}, ${actor.id}, ${secret === undefined ? null : hashOf(secret)}, 'original',
                ${fileName(metadata["filename"])}, ${declaredType(metadata["filetype"])}, ${size}::bigint,
                ${originalKey(tenantId, id)}, 'uploading', ${JSON.stringify({ upload: Metadata.stringify({ ...metadata }) })}::text::jsonb,
                ${new Date(now)}, ${expiresAt})`
      return { expiresAt }
    })
  )
})

/** Ends an unfinished upload; the sweeper takes away what had arrived. */
export const endUpload = Effect.fn("endUpload")(function* (text: string) {
  const actor = yield* Actor
  const row = yield* findUpload(text)
  const stored = refuse(409, "stored", "This file is stored already and can no longer be withdrawn by its sender.")
  if (row.state === "stored") return yield* stored
  const ended = yield* withTenant(actor.tenantId)(
    Effect.gen(function* () {
      const { sql, tenantId } = yield* TenantTx
      return yield* sql`
        update mahalla.attachment set state = 'deleted', expires_at = null
        where tenant_id = ${tenantId} and id = ${row.id} and state = 'uploading' returning id`
    })
  )
  if (ended.length === 0) return yield* stored
  return row
})
