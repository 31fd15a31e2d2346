/** Imports as records: a small file at once, a large one by a job that says how far it is. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { BlobStore } from "../../ports/BlobStore.ts"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { defineJob, JobFailure } from "../../kernel/jobs/Job.ts"
import { importNetwork } from "./importNetwork.ts"
import type { ImportFormat, ImportReport } from "./model.ts"
import { readNetwork } from "./readFile.ts"
import type { Transform } from "./transform.ts"

/** Bytes up to which a file is imported while its sender waits. */
export const atOnce = 1024 * 1024

export interface ImportOptions {
  readonly network: string
  readonly format: ImportFormat
  readonly transform?: Transform | undefined
  /** Metres. */
  readonly tolerance?: number | undefined
  readonly dryRun: boolean
}

export interface ImportRow {
  readonly id: string
  readonly network: string
  readonly format: ImportFormat
  readonly options: Pick<ImportOptions, "transform" | "tolerance" | "dryRun">
  readonly state: "waiting" | "running" | "done" | "failed"
  readonly done: number
  readonly total: number
  readonly report: ImportReport | null
  readonly error: string | null
  readonly createdAt: Date
  readonly finishedAt: Date | null
}

const columns = `id, network, format, options, state, done, total, report, error, created_at as "createdAt", finished_at as "finishedAt"`

export const loadImport = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<ImportRow>`
    select ${sql.literal(columns)} from mahalla.network_import where tenant_id = ${tenantId} and id = ${id}`
  return rows[0] ?? (yield* new NotFound({ what: "import", id }))
})

/** Newest first. */
export const listImports = Effect.fnUntraced(function* (cursor: string | null, limit: number) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<ImportRow>`
    select ${sql.literal(columns)} from mahalla.network_import
    where tenant_id = ${tenantId} and (${cursor}::uuid is null or id < ${cursor}) order by id desc limit ${limit}`
})

const insertImport = Effect.fnUntraced(function* (id: string, { format, network, ...options }: ImportOptions) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.network_import (tenant_id, id, network, format, options, state, created_at)
    values (${tenantId}, ${id}, ${network}, ${format}, ${JSON.stringify(options)}::text::jsonb, 'waiting', ${now})`
})

const finish = Effect.fnUntraced(function* (id: string, report: ImportReport | null, error: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.network_import set state = ${error === null ? "done" : "failed"}, report = ${report === null ? null : JSON.stringify(report)}::text::jsonb,
      error = ${error}, finished_at = ${now}, done = case when ${error === null} then total else done end
    where tenant_id = ${tenantId} and id = ${id}`
})

const blobKey = (tenantId: string, id: string) => `t/${tenantId}/imports/${id}`

/** Imports a file, or leaves it to the job where it is large; the record says which. A mistake in a small file is `InvalidInput`. */
export const takeImport = Effect.fn("network.takeImport")(function* (options: ImportOptions, bytes: Uint8Array) {
  const { tenantId } = yield* TenantTx
  const id = yield* newId
  if (bytes.length <= atOnce) {
    const file = yield* readNetwork(Stream.make(bytes), options.format, options.tolerance)
    const report = yield* importNetwork({ ...options, file })
    yield* insertImport(id, options)
    yield* finish(id, report, null)
    return yield* loadImport(id)
  }
  const blobs = yield* BlobStore
  yield* blobs.put(blobKey(tenantId, id), Stream.make(bytes), { size: bytes.length })
  yield* insertImport(id, options)
  yield* enqueue([{ topic: "network.import", body: { id }, maxAttempts: 3 }])
  return yield* loadImport(id)
})

/** Beside the import's transaction, so that others see it. */
const noteProgress = (tenantId: string, id: string) => (done: number, total: number) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) =>
        sql`update mahalla.network_import set state = 'running', done = ${done}, total = ${total} where tenant_id = ${tenantId} and id = ${id}`
    )
  ).pipe(Effect.ignore)

export const importJob = defineJob({
  topic: "network.import",
  payload: Schema.Struct({ id: Schema.String }),
  timeout: 1_800_000,
  concurrency: 1,
  run: ({ id }, { attempt, maxAttempts, tenantId }) =>
    Effect.gen(function* () {
      const blobs = yield* BlobStore
      const key = blobKey(tenantId, id)
      const row = yield* withTenant(tenantId)(loadImport(id))
      // What failed on our side is a dead letter and keeps its file: an operator may have it tried again.
      if (row.state !== "done" && (yield* blobs.exists(key))) {
        const progress = noteProgress(tenantId, id)
        yield* progress(0, 0)
        const work = Effect.gen(function* () {
          const file = yield* readNetwork(blobs.get(key), row.format, row.options.tolerance)
          yield* withTenant(tenantId)(
            Effect.gen(function* () {
              const report = yield* importNetwork({
                ...row.options,
                network: row.network,
                format: row.format,
                file,
                progress
              })
              yield* finish(id, report, null)
            })
          )
        })
        const failed = (message: string) => withTenant(tenantId)(finish(id, null, message))
        yield* work.pipe(
          Effect.catchIf(
            (error): error is InvalidInput => error instanceof InvalidInput,
            (error) => failed(error.message.slice(0, 10_000))
          ),
          Effect.tapError(() =>
            attempt < maxAttempts
              ? Effect.void
              : failed("It failed on our side three times. Tell the operator; nothing was changed.")
          )
        )
      }
      yield* blobs.delete(key)
    }).pipe(
      Effect.catchTag("NotFound", (error) => Effect.fail(new JobFailure({ message: error.message, permanent: true })))
    )
})
