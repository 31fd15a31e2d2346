/**
 * Sealed values of one table, as the resealer goes through them: what stands in clear is sealed, and what an older key has sealed is
 * sealed with the newest. A module names the parts of its own tables.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { versionOf } from "./crypt.ts"
import type { SealedColumn, Vault, VaultError } from "./Vault.ts"

/** One tenant's rows, in the resealer's transaction, which is the platform's. */
export interface ResealReader {
  readonly sql: SqlClient
  readonly tenantId: string
  readonly vault: Vault
  /** The key version that all of it is to have. */
  readonly version: number
}

export type ResealError = SqlError | VaultError

export interface ResealTurn {
  /** Rows looked at; fewer than the limit: the end is reached. */
  readonly seen: number
  /** The last of them, to go on after. */
  readonly position: string | null
}

export interface SealedPart {
  /** `module.table`; names its progress. */
  readonly id: string
  /** Seals anew what needs it among the next rows after a position. */
  readonly turn: (reader: ResealReader, after: string | null, limit: number) => Effect.Effect<ResealTurn, ResealError>
  /** Rows that are in clear or under another key. */
  readonly left: (reader: ResealReader) => Effect.Effect<number, ResealError>
}

/** What a column holds now, and in clear what it held before. */
export interface Held {
  readonly sealed: string | null
  readonly clear: string | null
}

/** The value under the newest key; undefined when it is so already, or there is none. */
export const again = Effect.fnUntraced(function* (reader: ResealReader, column: SealedColumn, row: string, held: Held) {
  const { tenantId, vault, version } = reader
  const { clear, sealed } = held
  if (sealed === null ? clear === null : versionOf(sealed) === version) return undefined
  const place = { tenantId, table: column.table, column: column.column, row }
  const text = sealed === null ? clear! : yield* vault.open(place, sealed)
  return { text, sealed: yield* vault.seal(place, text) }
})

/** Makes a part of a query for the next rows, what to write for each, and a count. */
export const sealedPart = <Row>(part: {
  readonly id: string
  /** Rows after the position in their order, locked. */
  readonly read: (
    reader: ResealReader,
    after: string | null,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Row>, ResealError>
  readonly position: (row: Row) => string
  readonly reseal: (reader: ResealReader, row: Row) => Effect.Effect<void, ResealError>
  readonly left: SealedPart["left"]
}): SealedPart => ({
  id: part.id,
  turn: Effect.fnUntraced(function* (reader, after, limit) {
    const rows = yield* part.read(reader, after, limit)
    for (const row of rows) yield* part.reseal(reader, row)
    const last = rows.at(-1)
    return { seen: rows.length, position: last === undefined ? after : part.position(last) }
  }),
  left: part.left
})
