/**
 * Many tenants' transactions through few connections, in any order, with failures and interruptions at any moment. Each asks, wherever it
 * is, whether it sees another's rows or is told another's tenant.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import { SqlError } from "effect/sql/SqlError"
import { Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { sent } from "../../kernel/db/pipelined.ts"
import { newId } from "../../kernel/ids.ts"

/** Numbers in [0, 1) that the seed decides (mulberry32). */
export const seeded = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

class Unwanted extends Error {}

const steps = [
  "read",
  "read",
  "write",
  "write-later",
  "write-another's",
  "take-another's",
  "nested",
  "inner-failure",
  "reach-over",
  "divide",
  "fail",
  "die",
  "wait"
] as const
type Step = (typeof steps)[number]

/** What came of it; every kind must have happened, or the run has shown less than it seems. */
export const endings = ["committed", "failed", "sql-error", "died", "interrupted"] as const
export type Ending = (typeof endings)[number]

export interface FuzzReport {
  /** In words; none when all is well. */
  readonly wrong: ReadonlyArray<string>
  readonly endings: Readonly<Record<Ending, number>>
  /** Rows that were committed, by tenant. */
  readonly written: ReadonlyMap<string, number>
  /** Rows of transactions that were interrupted, by tenant: one that was at its commit may have taken place. */
  readonly open: ReadonlyMap<string, number>
}

export interface FuzzOptions {
  readonly seed: number
  readonly tenants: ReadonlyArray<string>
  readonly transactions: number
  /** At once. */
  readonly concurrency: number
  /** Their names. */
  readonly tables: ReadonlyArray<string>
}

export const fuzz = Effect.fn("fuzz")(function* (options: FuzzOptions) {
  const random = seeded(options.seed)
  const any = <A>(from: ReadonlyArray<A>): A => from[Math.floor(random() * from.length)]!
  const wrong: Array<string> = []
  const counts: Record<Ending, number> = { committed: 0, failed: 0, "sql-error": 0, died: 0, interrupted: 0 }
  const written = new Map<string, number>(options.tenants.map((tenant) => [tenant, 0]))
  const open = new Map<string, number>(options.tenants.map((tenant) => [tenant, 0]))
  const { app } = yield* Database

  const look = (tenant: string, table: string) =>
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const found = yield* sql<{ tenant_id: string; set: string }>`
        select distinct tenant_id, current_setting('mahalla.tenant') as set from ${sql(`mahalla.${table}`)}`
      for (const row of found)
        if (row.tenant_id !== tenant || row.set !== tenant)
          wrong.push(`${tenant} saw ${row.tenant_id} in ${table}, with ${row.set} set`)
      return found.length
    })

  const insert = (tenant: string, id: string) =>
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql`
        insert into mahalla.territory (tenant_id, id, kind, name, path)
        values (${tenant}, ${id}, 'fuzz', '{}'::jsonb, array[${id}]::uuid[])`
    )

  /** Counts what is written once the transaction has ended well. */
  const take = (
    tenant: string,
    step: Step,
    made: { rows: number }
  ): Effect.Effect<unknown, unknown, TenantTx | Database> => {
    const other = any(options.tenants.filter((one) => one !== tenant))
    const table = any(options.tables)
    const wait = Duration.millis(Math.floor(random() * 6))
    return Effect.gen(function* () {
      const { sql } = yield* TenantTx
      switch (step) {
        case "read":
          return yield* look(tenant, table)
        case "write":
          yield* insert(tenant, yield* newId)
          return made.rows++
        case "write-later": {
          const id = yield* newId
          yield* sent(sql`
            insert into mahalla.territory (tenant_id, id, kind, name, path)
            values (${tenant}, ${id}, 'fuzz', '{}'::jsonb, array[${id}]::uuid[])`)
          return made.rows++
        }
        case "write-another's":
          yield* insert(other, yield* newId)
          wrong.push(`${tenant} wrote a row of ${other}`)
          return
        case "take-another's": {
          const taken = yield* sql`update mahalla.territory set kind = 'taken' where tenant_id = ${other} returning id`
          if (taken.length > 0) wrong.push(`${tenant} changed ${taken.length} rows of ${other}`)
          return
        }
        case "nested":
          return yield* withTenant(tenant)(look(tenant, table))
        case "inner-failure":
          return yield* Effect.ignore(
            sql.withTransaction(Effect.andThen(insert(tenant, yield* newId), Effect.fail("inner")))
          )
        case "reach-over":
          return yield* withTenant(other)(look(other, table))
        case "divide":
          return yield* sql`select 1 / ${0}::int`
        case "fail":
          return yield* Effect.fail(new Unwanted())
        case "die":
          return yield* Effect.die(new Unwanted())
        case "wait":
          return yield* Effect.delay(sql`select pg_sleep(${random() / 100})`, wait)
      }
    })
  }

  const transaction = Effect.suspend(() => {
    const tenant = any(options.tenants)
    const story = Array.from({ length: 1 + Math.floor(random() * 5) }, () => any(steps))
    const patience = random() < 0.25 ? Duration.millis(Math.floor(random() * 12)) : undefined
    const made = { rows: 0 }
    const body = Effect.suspend(() => {
      // A transaction that met a deadlock begins again.
      made.rows = 0
      return Effect.andThen(
        look(tenant, any(options.tables)),
        Effect.forEach(story, (step) => take(tenant, step, made), { discard: true })
      )
    })
    let committed = false
    const whole = Effect.tap(withTenant(tenant)(body), () => Effect.sync(() => (committed = true)))
    const run = patience === undefined ? whole : Effect.timeoutOption(whole, patience)
    return Effect.flatMap(Effect.exit(run), (exit) =>
      Effect.sync(() => {
        if (committed) {
          counts.committed++
          written.set(tenant, written.get(tenant)! + made.rows)
        } else if (Exit.isSuccess(exit)) {
          counts.interrupted++
          open.set(tenant, open.get(tenant)! + made.rows)
        } else {
          const error = Cause.squash(exit.cause)
          if (Cause.hasDies(exit.cause)) counts.died++
          else if (error instanceof SqlError) counts["sql-error"]++
          else counts.failed++
        }
      })
    )
  })

  /** Between transactions nobody's tenant is set, and nobody's rows are there. */
  const between = Effect.gen(function* () {
    const [row] = yield* app<{ set: string | null; seen: boolean }>`
      select current_setting('mahalla.tenant', true) as set, exists (select from mahalla.territory) as seen`
    if ((row!.set ?? "") !== "" || row!.seen) wrong.push(`a connection was left with the tenant ${row!.set}`)
  })

  yield* Effect.forEach(
    Array.from({ length: options.transactions }),
    () => Effect.suspend(() => (random() < 0.2 ? Effect.andThen(transaction, between) : transaction)),
    { concurrency: options.concurrency, discard: true }
  )
  yield* Effect.forEach(Array.from({ length: 20 }), () => between, { concurrency: 8, discard: true })
  return { wrong: [...new Set(wrong)], endings: counts, written, open } satisfies FuzzReport
})
