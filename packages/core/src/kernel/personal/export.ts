/** A person's copy of what is held of them: JSON of every part and their own files as they sent them, in one ZIP file that lives a day. */
import { makeZip } from "client-zip"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { BlobStore, type BlobStoreError } from "../../ports/BlobStore.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineJob } from "../jobs/Job.ts"
import { PersonParts } from "./registry.ts"
import { ExportMade, loadRequest } from "./requests.ts"

/** Hours that a copy is there. */
export const exportLife = 24

export const exportKey = (tenantId: string, requestId: string): string => `t/${tenantId}/exports/${requestId}`

interface FileRow {
  readonly id: string
  readonly name: string | null
  readonly blobKey: string
  readonly storedAt: Date
}

/** Names of any system: no folders, nothing that a shell or a file system takes for something else. */
const fileName = ({ id, name }: FileRow) =>
  `files/${id}${name === null ? "" : `-${name.replaceAll(/[^\p{L}\p{N}. _-]/gu, "_").slice(-100)}`}`

const gather = Effect.fnUntraced(function* (requestId: string) {
  const { sql, tenantId } = yield* TenantTx
  const request = yield* loadRequest(requestId)
  if (request === undefined || request.state !== "waiting") return { givenUp: request?.state === "failed" }
  const { principalId } = request
  const held: Record<string, unknown> = {}
  for (const part of yield* PersonParts) held[part.id] = yield* part.collect(principalId)
  const files = yield* sql<FileRow>`
    select id, name, blob_key as "blobKey", stored_at as "storedAt" from mahalla.attachment
    where tenant_id = ${tenantId} and owner_id = ${principalId} and role = 'original' and state = 'stored' and blob_key is not null order by id`
  return { givenUp: false, principalId, held, files }
})

export const exportJob = defineJob({
  topic: "person.export",
  payload: Schema.Struct({ requestId: Schema.String }),
  // A person's films may be gigabytes.
  timeout: 3_600_000,
  concurrency: 1,
  run: ({ requestId }, { tenantId }) =>
    Effect.gen(function* () {
      const blobs = yield* BlobStore
      const found = yield* withTenant(tenantId)(gather(requestId))
      // The same key at a second try: a killed one leaves nothing beside it.
      const blobKey = exportKey(tenantId, requestId)
      if (found.files === undefined) {
        if (found.givenUp) yield* blobs.delete(blobKey)
        return
      }
      const now = new Date(yield* Clock.currentTimeMillis)
      const data = JSON.stringify({ madeAt: now, ...found.held }, null, 2)
      const entries = function* () {
        yield { name: "data.json", lastModified: now, input: data }
        for (const file of found.files)
          yield {
            name: fileName(file),
            lastModified: file.storedAt,
            input: Stream.toReadableStream(blobs.get(file.blobKey))
          }
      }
      const body = Stream.fromReadableStream({
        evaluate: () => makeZip(entries()) as ReadableStream<Uint8Array>,
        onError: (error) => error as BlobStoreError
      })
      const { size } = yield* blobs.put(blobKey, body, { contentType: "application/zip" })
      const givenUp = yield* withTenant(tenantId)(
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          const at = yield* Clock.currentTimeMillis
          const done = yield* sql`
            update mahalla.person_request set state = 'done', blob_key = ${blobKey}, size = ${size}::bigint, finished_at = ${new Date(at)},
              expires_at = ${new Date(at + exportLife * 3_600_000)}
            where tenant_id = ${tenantId} and id = ${requestId} and state = 'waiting' returning id`
          if (done.length > 0) yield* appendEvent(ExportMade, { requestId, principalId: found.principalId })
          return done.length === 0 && (yield* loadRequest(requestId))?.state === "failed"
        })
      )
      // Its person was erased meanwhile, or it took days.
      if (givenUp) yield* blobs.delete(blobKey)
    })
})
