/**
 * The newest batches of one tenant, in memory for as long as somebody watches: those that were taken in here come from memory, the others from
 * the database, each read once however many watch. Readers pull; whoever is too far behind for what is kept is told so.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { type Database, withTenant } from "../../../kernel/db/Database.ts"
import type { Batch } from "../Follower.ts"
import { inOrder, readBatches } from "../Follow.ts"
import type { Fresh } from "../Intake.ts"
import { emptyRegistry } from "../registry.ts"
import { type LiveBatch, liveBatches, type Places } from "./LiveBatch.ts"

/** Batches a reader may be behind. */
export const mostBatches = 256
/** Readings that are kept in memory, of all those batches: some ten megabytes. */
export const mostReadings = 50_000
/** Batches that were taken in here and wait until those before them are known. */
const mostFresh = 64

export interface Source {
  readonly tenantId: string
  /** The newest that is known to be committed. */
  readonly head: () => number
  /** The newest that is here. */
  readonly reached: () => number
  /** The batch after a place; undefined where it is not here yet (`after` is `reached`) or not here any more. */
  readonly next: (after: number) => LiveBatch | undefined
  /** Done when there is more than at the call: asked for before one looks, nothing is missed. */
  readonly grown: () => Effect.Effect<void>
  readonly offer: (fresh: Fresh) => void
  /** A batch of this number was committed somewhere; true when that is news. */
  readonly heard: (head: number) => boolean
  /** Fetches what was heard of. */
  readonly advance: Effect.Effect<void, SqlError, Database>
}

/** Begins after the batch `head`. */
export const makeSource = (tenantId: string, places: Places, head: number): Source => {
  const registry = emptyRegistry()
  const fresh = new Map<number, Fresh>()
  const kept: Array<LiveBatch> = []
  let size = 0
  let known = head
  let reached = head
  let grown = Deferred.makeUnsafe<void>()

  const keep = (batch: LiveBatch) => {
    kept.push(batch)
    size += batch.readings
    reached = batch.number
    // The database may have more than was heard of.
    known = Math.max(known, reached)
    while (kept.length > mostBatches || (size > mostReadings && kept.length > 1)) size -= kept.shift()!.readings
  }

  /** Without a gap from where we are. */
  const fromMemory = (): ReadonlyArray<Batch> => {
    const found: Array<Batch> = []
    for (let number = reached + 1; ; number++) {
      const batch = fresh.get(number)
      if (batch?.readings === undefined) return found
      found.push({ number, receivedAt: batch.receivedAt, readings: [...batch.readings].sort(inOrder) })
    }
  }

  const step = Effect.gen(function* () {
    const there = fromMemory()
    const batches = yield* withTenant(tenantId)(
      Effect.flatMap(there.length > 0 ? Effect.succeed(there) : readBatches(registry, reached), (found) =>
        liveBatches(places, found)
      )
    )
    for (const batch of batches) keep(batch)
    for (const number of fresh.keys()) if (number <= reached) fresh.delete(number)
    if (batches.length === 0) {
      // The database has none of them any more.
      reached = known
      kept.length = 0
      size = 0
    }
    const before = grown
    grown = Deferred.makeUnsafe<void>()
    yield* Deferred.succeed(before, undefined)
  })

  return {
    tenantId,
    head: () => known,
    reached: () => reached,
    next: (after) => {
      const first = kept[0]
      return first === undefined ? undefined : kept[after + 1 - first.number]
    },
    grown: () => Deferred.await(grown),
    offer: (batch) => {
      if (batch.number <= reached) return
      if (batch.readings !== undefined) fresh.set(batch.number, batch)
      if (fresh.size > mostFresh) fresh.delete(fresh.keys().next().value!)
      known = Math.max(known, batch.number)
    },
    heard: (number) => {
      if (number <= known) return false
      known = number
      return true
    },
    advance: Effect.whileLoop({ while: () => reached < known, body: () => step, step: () => {} })
  }
}
