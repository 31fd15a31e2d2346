/**
 * Taking bytes. They are gathered in memory up to a segment, the segment becomes a blob, and only then the row's `received` moves on:
 * what the sender is told is safe. When the connection drops, what has come so far becomes a short segment.
 */
import { type Hash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { BlobStore } from "../../ports/BlobStore.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { Actor } from "../policy/Principal.ts"
import { giveBack, takeBuffer, UploadBuffers } from "./buffers.ts"
import { keepHash, takeHash, UploadHashes } from "./hashes.ts"
import { uploadLimits } from "./limits.ts"
import { segmentsFolder, type UploadRow } from "./sql.ts"
import { refuse } from "./uploads.ts"

/** A slow sender's bytes are made safe after so many milliseconds, however few they are. */
const patience = 10_000

/** A sender that is silent for so many milliseconds is gone. */
const silence = 60_000

/** The next piece of a body; without a value at its end. */
export interface Piece {
  readonly value?: Uint8Array | undefined
}

/** The connection ended before the body did. */
const dropped = () => refuse(400, "connection-lost", "The connection ended early. Ask with HEAD where to go on.")

export const conflict = () =>
  refuse(409, "wrong-offset", "Other bytes have arrived here in the meantime. Ask with HEAD where to go on.")

/** Moves `received` on if nobody else did. */
const acknowledge = Effect.fnUntraced(function* (id: string, start: number, length: number, key: string) {
  const { sql, tenantId } = yield* TenantTx
  const limits = yield* uploadLimits
  const now = yield* Clock.currentTimeMillis
  const rows = yield* sql<{ expiresAt: Date }>`
    update mahalla.attachment
    set received = received + ${length}::bigint, segments = segments || ${JSON.stringify([[start, key]])}::text::jsonb,
        expires_at = ${new Date(now + limits.unfinishedHours * 3_600_000)}
    where tenant_id = ${tenantId} and id = ${id} and state = 'uploading' and received = ${start}::bigint
    returning expires_at as "expiresAt"`
  return rows[0]?.expiresAt
})

/**
 * Makes one segment safe. Its key bears a part of its own, because two connections of one sender may both be writing from the same
 * byte: the row knows which of them counts.
 */
const keep = Effect.fnUntraced(function* (id: string, start: number, bytes: Uint8Array) {
  const { tenantId } = yield* Actor
  const blobs = yield* BlobStore
  const key = `${segmentsFolder(tenantId, id)}${String(start).padStart(13, "0")}-${randomBytes(6).toString("hex")}`
  yield* blobs.put(key, Stream.make(bytes), { size: bytes.length })
  const expiresAt = yield* withTenant(tenantId)(acknowledge(id, start, bytes.length, key))
  if (expiresAt !== undefined) return expiresAt
  yield* Effect.ignore(blobs.delete(key))
  return yield* conflict()
}, Effect.uninterruptible)

/**
 * Fills one buffer after the other from a body. Plain promises: an effect for each of a gigabyte's sixteen thousand pieces would cost
 * more than the rest of the upload.
 */
const makeFiller = (read: () => Promise<Piece>, hash: Hash | undefined) => {
  let pending: Promise<Piece> | undefined
  let rest: Uint8Array | undefined
  return {
    /** Copies until the buffer is full or the body ends; stops early, without losing anything, once `turn.over`. */
    fill: async (buffer: Uint8Array, turn: { length: number; over: boolean }): Promise<"full" | "ended"> => {
      while (turn.length < buffer.length) {
        if (rest === undefined) {
          pending ??= read()
          const { value } = await pending
          if (turn.over) return "full"
          pending = undefined
          if (value === undefined) return "ended"
          hash?.update(value)
          rest = value
        }
        const part = rest.subarray(0, buffer.length - turn.length)
        buffer.set(part, turn.length)
        turn.length += part.length
        rest = part.length < rest.length ? rest.subarray(part.length) : undefined
      }
      return "full"
    },
    /** Once all that was declared is there: whether the body ends too. */
    ends: async (): Promise<boolean> => {
      while (rest === undefined) {
        pending ??= read()
        const { value } = await pending
        pending = undefined
        if (value === undefined) return true
        if (value.length > 0) rest = value
      }
      return false
    }
  }
}

/**
 * Takes a request's body from byte `row.received` on and returns where the upload stands then. Fails with a problem when the body
 * breaks off, when another connection was faster, or when `inspect` refuses the first segment.
 */
export const receive = Effect.fn("receive")(function* <E, R>(
  row: Pick<UploadRow, "id" | "received" | "size">,
  read: () => Promise<Piece>,
  inspect: (segment: Uint8Array) => Effect.Effect<void, E, R>
) {
  const hashes = yield* UploadHashes
  const memory = yield* UploadBuffers
  const hash = takeHash(hashes, row.id, row.received)
  const filler = makeFiller(read, hash)
  // One is filled while the other is being written.
  const buffers: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)]
  yield* Effect.addFinalizer(() => Effect.sync(() => buffers.forEach((buffer) => giveBack(memory, buffer))))
  let start = row.received
  let expiresAt: Date | undefined
  let writing: Fiber.Fiber<Date, Effect.Error<ReturnType<typeof keep>>> | undefined

  const written = Effect.suspend(() => {
    const fiber = writing
    writing = undefined
    return fiber === undefined ? Effect.void : Effect.map(Fiber.join(fiber), (until) => void (expiresAt = until))
  })
  const write = Effect.fnUntraced(function* (length: number) {
    if (length === 0) return
    const segment = buffers[0].subarray(0, length)
    if (start === 0) yield* inspect(segment)
    yield* written
    writing = yield* Effect.forkChild(keep(row.id, start, segment))
    start += length
    buffers.reverse()
  })
  const settle = Effect.andThen(
    written,
    Effect.sync(() => {
      if (hash !== undefined) keepHash(hashes, row.id, { offset: start, hash })
    })
  )

  for (let quiet = 0; start < row.size;) {
    if (buffers[0].length === 0) buffers[0] = takeBuffer(memory, row.size - start)
    const buffer = buffers[0].subarray(0, row.size - start)
    const turn = { length: 0, over: false }
    const outcome = yield* Effect.tryPromise({ try: () => filler.fill(buffer, turn), catch: dropped }).pipe(
      Effect.timeoutOption(patience),
      Effect.ensuring(Effect.sync(() => void (turn.over = true))),
      Effect.tapError(() => Effect.andThen(write(turn.length), settle))
    )
    yield* write(turn.length)
    if (Option.isSome(outcome) && outcome.value === "ended") break
    quiet = turn.length > 0 ? 0 : quiet + patience
    if (quiet >= silence) {
      yield* settle
      return yield* dropped()
    }
  }
  yield* settle
  if (start === row.size) {
    const ended = yield* Effect.promise(() => filler.ends().catch(() => true)).pipe(Effect.timeoutOption("1 second"))
    if (Option.isSome(ended) && !ended.value)
      return yield* refuse(413, "too-large", `More than the ${row.size} bytes that were declared have come.`)
  }
  return { received: start, expiresAt }
}, Effect.scoped)
