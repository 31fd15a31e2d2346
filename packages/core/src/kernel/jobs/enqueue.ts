/**
 * Writing jobs: in the transaction of the fact that causes them, so that both are there or neither.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { TenantTx } from "../db/Database.ts"
import type { LaterWrite } from "../db/later.ts"
import { newId } from "../ids.ts"

/** Wakes whoever waits for new jobs in this process and, coalesced, in the others. */
export class JobSignal extends Context.Reference<{ readonly wake: Effect.Effect<void> }>("@mahalla/kernel/JobSignal", {
  defaultValue: () => ({ wake: Effect.void })
}) {}

export interface NewJob {
  /** The kind of job, as `reports.encode`: `[a-z0-9.-]{1,80}`. */
  readonly topic: string
  /** JSON value of at most 64 KiB: ids, not contents. */
  readonly body: unknown
  /** At most one waiting job of a tenant and topic has it; a second one is dropped silently. */
  readonly uniqueKey?: string
  /** Higher goes first. -100–100, default 0. */
  readonly priority?: number
  /** Not before this moment, epoch milliseconds. Default: now. */
  readonly runAt?: number
  /** Tries before it becomes a dead letter. 1–100, default 12. */
  readonly maxAttempts?: number
}

const bodyLimit = 65_536

const jobWrite: LaterWrite<Record<string, unknown>> = {
  insert: (sql, json) => sql`
    insert into mahalla.job (tenant_id, id, topic, body, unique_key, priority, run_at, max_attempts)
    select tenant_id, id, topic, coalesce(body, 'null'), unique_key, coalesce(priority, 0), coalesce(run_at, now()), coalesce(max_attempts, 12)
    from jsonb_to_recordset(${json}::text::jsonb) as given
      (tenant_id uuid, id uuid, topic text, body jsonb, unique_key text, priority smallint, run_at timestamptz, max_attempts smallint)
    on conflict (tenant_id, topic, unique_key) where unique_key is not null do nothing`
}

const rowsOf = Effect.fnUntraced(function* (jobs: ReadonlyArray<NewJob & { readonly tenantId: string }>) {
  const rows: Array<Record<string, unknown> & { readonly id: string }> = []
  for (const job of jobs) {
    const size = Buffer.byteLength(JSON.stringify(job.body) ?? "")
    if (size > bodyLimit) {
      return yield* Effect.die(
        new Error(
          `A job ${job.topic} has a body of ${size} bytes; the limit is ${bodyLimit}. Store it and pass its id.`
        )
      )
    }
    rows.push({
      tenant_id: job.tenantId,
      id: yield* newId,
      topic: job.topic,
      body: job.body ?? null,
      unique_key: job.uniqueKey,
      priority: job.priority,
      run_at: job.runAt === undefined ? undefined : new Date(job.runAt).toISOString(),
      max_attempts: job.maxAttempts
    })
  }
  return rows
})

/** One statement for any number of jobs, of any tenants. */
export const insertJobs = Effect.fnUntraced(function* (
  sql: SqlClient,
  jobs: ReadonlyArray<NewJob & { readonly tenantId: string }>
) {
  if (jobs.length > 0) yield* sql`${jobWrite.insert(sql, JSON.stringify(yield* rowsOf(jobs)))}`
})

/**
 * Writes jobs with the commit of the transaction; whoever works on them wakes after it. Returns their ids; one that is dropped because
 * its key is waiting already has an id that nothing bears.
 */
export const enqueue = Effect.fnUntraced(function* (jobs: ReadonlyArray<NewJob>) {
  const { later, tenantId } = yield* TenantTx
  const rows = yield* rowsOf(jobs.map((job) => ({ ...job, tenantId })))
  for (const row of rows) later.add(jobWrite, row)
  const { wake } = yield* JobSignal
  if (rows.length > 0) later.wake(wake)
  return rows.map(({ id }) => id)
})
