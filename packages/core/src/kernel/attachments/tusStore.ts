/** What the tus server asks of a store, on top of our uploads. One per request: it acts for the request's actor. */
import type { Readable } from "node:stream"
import { DataStore, Metadata, Upload } from "@tus/server"
import * as Effect from "effect/Effect"
import { Actor } from "../policy/Principal.ts"
import { limitAnonymous } from "../limits/address.ts"
import { checkType, completeUpload } from "./complete.ts"
import { conflict, receive } from "./receive.ts"
import { headSize } from "./sniff.ts"
import type { UploadRow } from "./sql.ts"
import { beginUpload, endUpload, findUpload } from "./uploads.ts"

/** A complete upload is put together by whoever asks about it. */
const settled = Effect.fnUntraced(function* (text: string) {
  const row = yield* findUpload(text)
  return row.state === "uploading" && row.received === row.size
    ? yield* completeUpload((yield* Actor).tenantId, row.id)
    : row
})

/** The first segment shows what the file is: no need to take two gigabytes of what will be refused. */
const inspect = (row: UploadRow) =>
  Effect.fnUntraced(function* (segment: Uint8Array) {
    // A shorter beginning is judged when all is there.
    if (segment.length >= headSize) yield* checkType((yield* Actor).tenantId, row, segment.subarray(0, headSize))
  })

/** The offset was compared when the request began; a late segment of another connection may have moved the upload on since. */
const taken = Effect.fnUntraced(function* (text: string, offset: number, body: Body | undefined) {
  const row = yield* findUpload(text)
  if (row.state === "stored" ? offset !== row.size : offset !== row.received) return yield* conflict()
  if (row.state === "stored") return { received: row.size, expiresAt: undefined }
  return yield* receive(row, () => body?.read() ?? Promise.resolve({}), inspect(row))
})

type Needs =
  | Effect.Services<ReturnType<typeof settled>>
  | Effect.Services<ReturnType<typeof taken>>
  | Effect.Services<ReturnType<typeof beginUpload>>
  | Effect.Services<ReturnType<typeof limitAnonymous>>
  | Effect.Services<ReturnType<typeof endUpload>>

export type Run = <A, E>(effect: Effect.Effect<A, E, Needs>) => Promise<A>

type Body = ReadableStreamDefaultReader<Uint8Array>

export class TusStore extends DataStore {
  override extensions = ["creation", "creation-with-upload", "termination", "expiration"]
  /** Until when an unfinished upload waits; undefined once there is nothing to wait for. */
  expiresAt: Date | undefined
  readonly #run: Run
  readonly #body: Body | undefined

  constructor(run: Run, body: Body | undefined) {
    super()
    this.#run = run
    this.#body = body
  }

  override async create(upload: Upload): Promise<Upload> {
    const { expiresAt } = await this.#run(
      Effect.andThen(limitAnonymous("upload"), beginUpload(upload.id, upload.size ?? 0, upload.metadata ?? {}))
    )
    this.expiresAt = expiresAt
    return upload
  }

  override async getUpload(id: string): Promise<Upload> {
    const row = await this.#run(settled(id))
    this.expiresAt = row.state === "stored" ? undefined : (row.expiresAt ?? undefined)
    const offset = row.state === "stored" ? row.size : row.received
    // As the header was: a sender must get back what they said, and not every text can stand in jsonb.
    const { upload } = row.metadata as { upload?: string }
    return new Upload({ id, size: row.size, offset, ...(upload ? { metadata: Metadata.parse(upload) } : {}) })
  }

  /** The library's stream is empty: in its pipes, what had arrived when a connection drops would be lost. */
  override async write(stream: Readable, id: string, offset: number): Promise<number> {
    stream.resume()
    const { expiresAt, received } = await this.#run(taken(id, offset, this.#body))
    this.expiresAt = expiresAt ?? this.expiresAt
    return received
  }

  override async remove(id: string): Promise<void> {
    await this.#run(endUpload(id))
  }

  /** Called when the last byte has come. */
  async finish(id: string): Promise<void> {
    await this.#run(settled(id))
    this.expiresAt = undefined
  }
}
