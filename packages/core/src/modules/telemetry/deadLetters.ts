/** What could not be used: listed with its bytes, tried again when what was wrong has been mended, thrown away. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantById } from "../../kernel/tenancy/resolve.ts"
import type { IngestMessage, PayloadFormat } from "../../ports/DeviceIngest.ts"
import type { EdgeNodes } from "./decodeAll.ts"
import { Intake } from "./Intake.ts"
import { unpackMessages } from "./rawMessages.ts"

export interface StoredDeadLetter {
  readonly id: string
  readonly receivedAt: Date
  readonly deviceId: string | null
  readonly device: string
  readonly topic: string
  readonly format: PayloadFormat
  readonly payload: Uint8Array
  readonly reason: string
  readonly detail: string
  readonly profileVersion: number | null
  readonly codecVersion: string | null
  readonly replayedAt: Date | null
}

export interface DeadFilter {
  readonly reason?: string | undefined
  readonly deviceId?: string | undefined
  /** Only those that have not been tried again with success. */
  readonly open?: boolean | undefined
}

/** Bytes of messages that are read at once, unless the first alone has more: letters may be of a megabyte each. */
const mostBytes = 8 * 1024 * 1024

/** The newest of a filter, as many as are asked for and are not too large together, and whether there are more. */
const select = Effect.fnUntraced(function* (filter: DeadFilter, before: string | undefined, limit: number) {
  const { sql, tenantId } = yield* TenantTx
  // Indexes: dead_letter_reason, dead_letter_device, the primary key.
  const found = yield* sql<{ id: string; size: number }>`
    select id, octet_length(payload) as size from mahalla.dead_letter
    where tenant_id = ${tenantId} and ${filter.reason === undefined ? sql`true` : sql`reason = ${filter.reason}`}
      and ${filter.deviceId === undefined ? sql`true` : sql`device_id = ${filter.deviceId}`}
      and ${filter.open === true ? sql`replayed_at is null` : sql`true`}
      and ${before === undefined ? sql`true` : sql`id < ${before}`}
    order by id desc limit ${limit + 1}`
  const ids: Array<string> = []
  let bytes = 0
  for (const { id, size } of found.slice(0, limit)) {
    bytes += size
    if (ids.length > 0 && bytes > mostBytes) break
    ids.push(id)
  }
  const rows = yield* sql<StoredDeadLetter>`
    select id, received_at as "receivedAt", device_id as "deviceId", device, topic, format, payload, reason, detail,
      profile_version as "profileVersion", codec_version as "codecVersion", replayed_at as "replayedAt"
    from mahalla.dead_letter where tenant_id = ${tenantId} and id = any (${ids}::uuid[]) order by id desc`
  return { rows, more: ids.length < found.length }
})

/** Newest first. */
export const listDeadLetters = Effect.fn("telemetry.listDeadLetters")(function* (
  filter: DeadFilter,
  page: { readonly cursor?: string | undefined; readonly limit?: number | undefined }
) {
  yield* demandEverywhere("dead-letter.read")
  const { more, rows: items } = yield* select(filter, page.cursor, page.limit ?? 50)
  return { items, ...(more && items.length > 0 ? { cursor: items.at(-1)!.id } : {}) }
})

/** Messages in one turn of a replay. */
const turn = 500

const replay = Effect.fnUntraced(function* (messages: ReadonlyArray<IngestMessage>, nodes?: EdgeNodes) {
  const intake = yield* Intake
  return yield* intake.replay(messages, nodes)
})

/** Tries dead letters again, the newest 500 of a filter that `before` leaves, or fewer large ones; tells how many can be used now. Times of arrival stay what they were. */
export const replayDeadLetters = Effect.fn("telemetry.replayDeadLetters")(function* (
  filter: DeadFilter,
  before: string | undefined
) {
  const { tenantId } = yield* Actor
  const inside = withTenant(tenantId)
  const { more, rows } = yield* inside(
    Effect.andThen(demandEverywhere("dead-letter.replay"), select({ ...filter, open: true }, before, turn))
  )
  const tenant = yield* tenantById(tenantId)
  if (rows.length === 0 || tenant === undefined) return { tried: 0, stored: 0 }
  const outcomes = yield* replay(
    rows.map((row) => ({
      from: { tenant: tenant.slug, device: row.device },
      topic: row.topic,
      payload: row.payload,
      format: row.format,
      receivedAt: row.receivedAt.getTime()
    }))
  )
  const stored = rows.filter((_, place) => outcomes[place]?.state === "stored").map(({ id }) => id)
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* inside(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql`
        update mahalla.dead_letter set replayed_at = ${now} where tenant_id = ${tenantId} and id = any (${stored}::uuid[])`
    )
  )
  return {
    tried: rows.length,
    stored: stored.length,
    ...(more ? { cursor: rows.at(-1)!.id } : {})
  }
})

/** Milliseconds that a piece of raw messages may span at most: one that began before a stretch may reach into it. */
const longestPiece = 3_600_000

/** Takes in once more what came in a stretch of time; readings that are there already stay as they are. */
export const replayRaw = Effect.fn("telemetry.replayRaw")(function* (from: Date, to: Date, device: string | undefined) {
  const { tenantId } = yield* Actor
  const inside = withTenant(tenantId)
  const tenant = yield* tenantById(tenantId)
  let place = { at: new Date(from.getTime() - longestPiece), batch: "-1" }
  const nodes: EdgeNodes = new Map()
  const result = { messages: 0, stored: 0, dead: 0, refused: 0 }
  yield* inside(demandEverywhere("dead-letter.replay"))
  while (tenant !== undefined) {
    const pieces = yield* inside(
      Effect.flatMap(
        TenantTx,
        ({ sql }) => sql<{ at: Date; batch: string; body: Uint8Array }>`
          select received_at as at, r.batch::text, body from mahalla.raw_message r
          where tenant_id = ${tenantId} and received_at < ${to} and until_at >= ${from} and (received_at, r.batch) > (${place.at}, ${place.batch}::bigint)
          order by received_at, r.batch limit 4`
      )
    )
    if (pieces.length === 0) break
    for (const { body } of pieces) {
      const messages = unpackMessages(body).filter(
        (message) =>
          message.receivedAt >= from.getTime() &&
          message.receivedAt < to.getTime() &&
          (device === undefined || message.device === device)
      )
      const outcomes = yield* replay(
        messages.map(({ device: name, ...message }) => ({ ...message, from: { tenant: tenant.slug, device: name } })),
        nodes
      )
      result.messages += messages.length
      for (const { state } of outcomes) result[state]++
    }
    const last = pieces.at(-1)!
    place = { at: last.at, batch: last.batch }
  }
  return result
})
