/**
 * What may be sent, how large and how much. The deployment's defaults, changed per tenant by `uploads` in the tenant's settings.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { TenantTx } from "../db/Database.ts"

const Count = Schema.Int.check(Schema.isGreaterThan(0))

export const UploadLimits = Schema.Struct({
  /** Bytes of one file. */
  maxSize: Count,
  /** Allowed by content. Aliases such as `video/x-msvideo` count as their registered names. */
  mediaTypes: Schema.Array(Schema.String),
  /** Unfinished uploads of one principal. */
  openUploads: Count,
  /** Bytes that one principal may send within 24 hours. */
  bytesPerDay: Count,
  /** The same for all anonymous senders of a tenant together. */
  anonymousOpenUploads: Count,
  anonymousBytesPerDay: Count,
  /** Hours that an unfinished upload waits for its next byte. */
  unfinishedHours: Count,
  /** Days that a stored file waits to be attached to a case. */
  unattachedDays: Count
})
export type UploadLimits = typeof UploadLimits.Type

const GiB = 1024 ** 3

export const defaultUploadLimits: UploadLimits = {
  maxSize: 2 * GiB,
  mediaTypes: [
    "video/mp4",
    "video/quicktime",
    "video/webm",
    "video/matroska",
    "video/3gpp",
    "video/mpeg",
    "video/vnd.avi",
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/heic",
    "application/pdf"
  ],
  openUploads: 20,
  bytesPerDay: 20 * GiB,
  anonymousOpenUploads: 200,
  anonymousBytesPerDay: 50 * GiB,
  unfinishedHours: 24,
  unattachedDays: 30
}

/** The deployment's limits. */
export const DefaultUploadLimits = Context.Reference<UploadLimits>("@mahalla/kernel/DefaultUploadLimits", {
  defaultValue: () => defaultUploadLimits
})

/** What a tenant changes of them. */
export const UploadOverrides = UploadLimits.mapFields(Struct.map(Schema.optionalKey))
const decodeOverrides = Schema.decodeUnknownOption(UploadOverrides)

/** The limits of the transaction's tenant. Settings that make no sense are left aside. */
export const uploadLimits = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const defaults = yield* DefaultUploadLimits
  const rows = yield* sql<{ uploads: unknown }>`
    select settings -> 'uploads' as uploads from mahalla.tenant where tenant_id = ${tenantId}`
  const own = decodeOverrides(rows[0]?.uploads ?? {})
  return { ...defaults, ...Option.getOrElse(own, () => ({})) }
})
