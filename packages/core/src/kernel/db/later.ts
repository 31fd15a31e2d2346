/**
 * Writes that nothing in their transaction reads: events, jobs, stored answers. They are gathered and sent together just before the
 * commit, one statement for all of them, because what a small transaction costs is its round trips.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { sent } from "./pipelined.ts"

/** One kind of such a write; `Row` is JSON. */
export interface LaterWrite<Row> {
  /** Inserts rows in their order; JSON is the text of an array of them. The statement stands in a `WITH` beside others. */
  readonly insert: (sql: SqlClient, json: string) => Fragment
  readonly row?: Row
}

/** What a transaction still has to write. */
export interface Later {
  readonly add: <Row>(write: LaterWrite<Row>, row: Row) => void
  /** For rows that the rest of the transaction may look at: they are there for its next question. */
  readonly soon: <Row>(write: LaterWrite<Row>, row: Row) => Effect.Effect<void, SqlError>
  /** Run once after the commit, however many ask for it: for waking whoever waits. Must not fail. */
  readonly wake: (effect: Effect.Effect<void>) => void
  readonly flush: Effect.Effect<void, SqlError>
}

/** Rows by the kind of write, kinds in the order in which they came up. */
export type Waiting = Map<LaterWrite<never>, Array<unknown>>

export const addTo = <Row>(waiting: Waiting, write: LaterWrite<Row>, row: Row): void => {
  const rows = waiting.get(write as LaterWrite<never>)
  if (rows === undefined) waiting.set(write as LaterWrite<never>, [row])
  else rows.push(row)
}

export const makeLater = (sql: SqlClient): Later => {
  const waiting: Waiting = new Map()
  const wakes = new Set<Effect.Effect<void>>()
  return {
    add: (write, row) => addTo(waiting, write, row),
    wake: (effect) => void wakes.add(effect),
    soon: (write, row) => sent(sql`${write.insert(sql, JSON.stringify([row]))}`),
    flush: Effect.suspend(() => {
      const told = wakes.size === 0 ? Effect.void : sql.afterCommit(Effect.all([...wakes], { discard: true }))
      wakes.clear()
      if (waiting.size === 0) return told
      const inserts = [...waiting].map(([write, rows]) => write.insert(sql, JSON.stringify(rows)))
      waiting.clear()
      const last = inserts.pop()!
      const first = inserts.map((insert, place) => sql`${sql(`written_${place}`)} as (${insert})`)
      return Effect.andThen(told, sent(first.length === 0 ? sql`${last}` : sql`with ${sql.csv(first)} ${last}`))
    })
  }
}
