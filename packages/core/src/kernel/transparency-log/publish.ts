/**
 * Checkpoints leave the database: into a folder that ought to lie on another disk, or be copied to somebody else. One append-only file for
 * each tenant, one checkpoint on each line. What the file ends with says what is still to come, so a crash between database and
 * file loses nothing.
 */
import { mkdir, open } from "node:fs/promises"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { CheckpointRefused } from "./events.ts"
import { readCheckpoints } from "./sql.ts"

export class PublishError extends Data.TaggedError("PublishError")<{
  readonly message: string
  readonly cause: unknown
}> {}

/** More than the longest line. */
const tail = 65_536

/** Size that a line speaks of; the signature is the verifier's matter. 0 when it cannot be read. */
const sizeOf = (line: string): number => {
  const body = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(line)?.[1]
  const size = /"size":(\d{1,15})[,}]/.exec(Buffer.from(body ?? "", "base64url").toString("utf8"))?.[1]
  return Number(size ?? 0)
}

/** What a file ends with: the size of its last whole line, and a line that was torn off by a crash. */
const endOf = async (path: string) => {
  const file = await open(path, "a+", 0o644)
  try {
    const { size } = await file.stat()
    const bytes = Buffer.alloc(Math.min(size, tail))
    await file.read(bytes, 0, bytes.length, size - bytes.length)
    const lines = bytes.toString("utf8").split("\n")
    const torn = lines.pop() ?? ""
    return { size: sizeOf(lines.at(-1) ?? ""), torn }
  } finally {
    await file.close()
  }
}

/** Lines for the end of a file, on the disk when it returns. */
const append = async (path: string, text: string) => {
  const file = await open(path, "a", 0o644)
  try {
    await file.appendFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

const tried = <A>(path: string, run: () => Promise<A>) =>
  Effect.tryPromise({
    try: run,
    catch: (cause) =>
      new PublishError({
        message: `Checkpoints cannot be written to ${path}: ${String(cause)}. Make room, or let the server write there; they are kept and written later.`,
        cause
      })
  })

/** Checkpoints written in one go at most. */
const page = 500

/** Staff hears once of each end that was lost; the log has its own news then, and a turn for each second. */
const told = new Map<string, number>()
const tellOnce = Effect.fnUntraced(function* (tenantId: string, size: number, detail: string) {
  if (told.get(tenantId) === size) return
  told.set(tenantId, size)
  yield* withTenant(tenantId)(appendEvent(CheckpointRefused, { where: "the folder of checkpoints", detail }))
})

const publishTenant = Effect.fnUntraced(function* (folder: string, tenantId: string, newestSize: number) {
  const path = join(folder, `${tenantId}.checkpoints`)
  for (;;) {
    const { size, torn } = yield* tried(path, () => endOf(path))
    if (size > newestSize) {
      const detail = `The log of tenant ${tenantId} has lost its end: ${path} has a checkpoint of ${size} events, the database one of ${newestSize}. If no backup was restored, somebody has cut it; check it with: mahalla audit verify.`
      yield* Effect.logError(detail)
      yield* tellOnce(tenantId, size, detail)
    }
    const next = yield* withPlatform(
      Effect.flatMap(PlatformTx, ({ sql }) => readCheckpoints({ sql, tenantId }, size, page))
    )
    if (next.length === 0) return
    const text = next.map(({ signed }) => `${signed}\n`).join("")
    // A torn line is the beginning of the next one: it is completed, so that nothing in the file is ever taken back.
    const rest = text.startsWith(torn) ? text.slice(torn.length) : `\n${text}`
    yield* tried(path, () => append(path, rest))
    if (next.length < page) return
  }
})

/** Tenants with their largest checkpoint. */
const newest = Effect.flatMap(
  PlatformTx,
  ({ sql }) => sql<{ tenantId: string; size: bigint }>`
    select head.tenant_id as "tenantId", signed.size from mahalla.event_head head
    cross join lateral (select size from mahalla.log_checkpoint where tenant_id = head.tenant_id order by size desc limit 1) signed`
)

/** Milliseconds for which a folder is left alone after it could not be written. */
const rest = 60_000

/** Writes what is new into the folder. Keeps in mind what is there, so that a turn without news reads no file. */
export const makePublisher = (folder: string) => {
  const written = new Map<string, bigint>()
  let restsUntil = 0
  return Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (restsUntil > now) return
    const news = (yield* withPlatform(newest)).filter(({ size, tenantId }) => written.get(tenantId) !== size)
    if (news.length === 0) return
    yield* tried(folder, () => mkdir(folder, { recursive: true }))
    for (const { size, tenantId } of news) {
      yield* publishTenant(folder, tenantId, Number(size))
      written.set(tenantId, size)
    }
  }).pipe(
    Effect.catchTag("PublishError", (error) =>
      Effect.gen(function* () {
        restsUntil = (yield* Clock.currentTimeMillis) + rest
        yield* Effect.logError(error.message)
      })
    )
  )
}
