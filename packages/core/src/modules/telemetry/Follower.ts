/**
 * Whoever derives something from readings follows a tenant's batches in the order in which they were committed, gathers in memory, and writes what
 * it has together with the place it has reached: after a crash it goes on from there, so that every reading counts once.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { type Database, TenantTx } from "../../kernel/db/Database.ts"
import type { Checked } from "./check.ts"
import type { noteHearing } from "./hearing.ts"
import type { TenantTime } from "./rules/hours.ts"

/** A batch with its readings by their own time, then datastream and sequence: the same order whether it comes from memory or from the database. */
export interface Batch {
  readonly number: number
  readonly receivedAt: number
  readonly readings: ReadonlyArray<Checked>
}

/** When somebody listened to devices: until now at least, and not while these outages lasted. */
export type Hearing = Effect.Success<typeof noteHearing>

/** What one kind of follower gathers for one tenant. */
export interface Gathering {
  readonly take: (batch: Batch) => Effect.Effect<void, SqlError, Database>
  /** Before the readings that were stored under this registry or an older one, and in this time: what has changed besides readings. */
  readonly know?: (registry: number, time: TenantTime, hearing: Hearing) => Effect.Effect<void, SqlError, Database>
  /** Nothing that is stored now would count: the place goes on without reading it. Asked after `know`. */
  readonly idle?: () => boolean
  /**
   * After the batches of a turn and after `turn`: writes at once what must not wait for `write`; doing so twice does no harm. Together, for each
   * transaction costs a few round trips, and batches come faster than those are made.
   */
  readonly tell?: Effect.Effect<void, SqlError, Database>
  /** At least every half second, once there is nothing more to take: what is due by the clock. */
  readonly turn?: Effect.Effect<void, SqlError, Database>
  /** Rows that wait to be written. */
  readonly waiting: () => number
  /** Writes what was gathered, in the transaction that moves the place; after the commit `cleared` is called. */
  readonly write: Effect.Effect<void, SqlError, TenantTx | Database>
  /** Where writing takes so long that more has to be taken meanwhile: what is to be written as of now. Instead of `write` and `cleared`. */
  readonly freeze?: () => Gathering["write"]
  readonly cleared: () => void
  /** Before a write: partitions for what waits, where some may be missing. */
  readonly prepare: Effect.Effect<void, SqlError, Database>
}

export interface Follower {
  /** Names its place. */
  readonly id: string
  /** Milliseconds between two writes while batches keep coming. */
  readonly every: number
  /** Milliseconds between two turns at least, while little comes; 0: every batch at once. A write for each small batch would cost more than storing it. */
  readonly pause: number
  /** Writes when more rows than this wait. */
  readonly most: number
  /** Begins for a tenant, with what it wrote last. */
  readonly open: (tenantId: string) => Effect.Effect<Gathering, SqlError, TenantTx | Database>
}

/** Moves a place; false when it is not where it was left. */
export const movePlace = Effect.fnUntraced(function* (follower: string, from: number, to: number) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql`
    insert into mahalla.telemetry_progress as p (tenant_id, follower, number) values (${tenantId}, ${follower}, ${to})
    on conflict (tenant_id, follower) do update set number = excluded.number where p.number = ${from} returning number`
  return rows.length === 1
})

/** Where a follower has got to; 0 at first. */
export const placeOf = Effect.fnUntraced(function* (follower: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ number: string }>`
    select number::text from mahalla.telemetry_progress where tenant_id = ${tenantId} and follower = ${follower}`
  return Number(row?.number ?? 0)
})
