/** For tests of uploads: the reference client, and requests as they stand in the protocol. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as tus from "tus-js-client"
import { PlatformTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import { selectUpload } from "../kernel/attachments/sql.ts"
import { BlobStore } from "../ports/BlobStore.ts"
import { createPrincipal, createTenant } from "../testing/kernel.ts"
import { startTusServer } from "./uploads.ts"

export const MiB = 1024 * 1024

export const tusVersion = { "tus-resumable": "1.0.0" }

/** Sends a file as an app does, taking up what breaks; gives the upload's address. */
export const send = (endpoint: string, file: Buffer, options: tus.UploadOptions = {}) =>
  Effect.callback<string, tus.DetailedError | Error>((resume) => {
    const upload = new tus.Upload(file, {
      endpoint,
      retryDelays: [0, 10, 20, 50, 100, 200, 400, 1000],
      ...options,
      onSuccess: () => resume(Effect.succeed(upload.url!)),
      onError: (error) => resume(Effect.fail(error))
    })
    upload.start()
    return Effect.promise(() => upload.abort().catch(() => {}))
  })

export const idOf = (url: string): string => url.split("/").at(-1)!.split(".")[0]!

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into whatever came
  readonly body: any
}

export const call = (
  url: string,
  method: string,
  headers: Record<string, string>,
  body?: Uint8Array
): Effect.Effect<Answer> =>
  Effect.promise(async () => {
    const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: body as BodyInit }) })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) }
  })

/** Begins an upload without sending anything. */
export const begin = (
  endpoint: string,
  headers: Record<string, string>,
  size: number | string,
  more: Record<string, string> = {}
) => call(endpoint, "POST", { ...tusVersion, ...headers, "upload-length": String(size), ...more })

/** The address that a 201 names. */
export const placeOf = (endpoint: string, answer: Answer): string =>
  new URL(answer.headers.get("location")!, endpoint).toString()

export const head = (url: string, headers: Record<string, string>) => call(url, "HEAD", { ...tusVersion, ...headers })

export const patch = (
  url: string,
  headers: Record<string, string>,
  offset: number,
  body: Uint8Array,
  more: Record<string, string> = {}
) =>
  call(
    url,
    "PATCH",
    {
      ...tusVersion,
      ...headers,
      "upload-offset": String(offset),
      "content-type": "application/offset+octet-stream",
      ...more
    },
    body
  )

export const metadata = (entries: Record<string, string>) => ({
  "upload-metadata": Object.entries(entries)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString("base64")}`)
    .join(",")
})

export const rowOf = (tenantId: string, url: string) =>
  Effect.map(withTenant(tenantId)(selectUpload(idOf(url))), (row) => row!)

export const blobOf = (key: string) =>
  Effect.flatMap(BlobStore, (blobs) => Stream.runCollect(blobs.get(key))).pipe(
    Effect.map((chunks) => Buffer.concat(chunks))
  )

/** Keys of everything a tenant has in the store. */
export const keysOf = (tenantId: string) =>
  Effect.flatMap(BlobStore, (blobs) =>
    Effect.map(blobs.list(`t/${tenantId}/`), ({ items }) => items.map((item) => item.key))
  )

export const eventsOf = (tenantId: string) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{
        type: string
        actorId: string | null
        caseId: string | null
        payload: Record<string, unknown>
      }>`
        select type, actor_id as "actorId", case_id as "caseId", payload from mahalla.event
        where tenant_id = ${tenantId} order by id`
    )
  )

/** A new tenant with somebody in it, and a server. */
export const someone = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const person = yield* createPrincipal(tenantId)
  const server = yield* startTusServer
  return { tenantId, person, server, headers: server.as(person), endpoint: server.endpoint }
})
