/**
 * Seals and opens personal values with the keys of their tenant, and makes the blind indexes that they are found by. A tenant's keys
 * are random, wrapped by the master key, made when they are first needed, and remembered in the process for a minute: a request that
 * seals something asks the database nothing for it.
 */
import type { KeyObject } from "node:crypto"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Database, TenantTx } from "../db/Database.ts"
import { remembered } from "../db/remembered.ts"
import {
  indexOf,
  type KeyPurpose,
  newKey,
  openText,
  type Place,
  sealText,
  unwrapKey,
  versionOf,
  wrapKey
} from "./crypt.ts"
import { admitMasters, type MasterKeyError, type Masters } from "./master.ts"

/** A sealed value or a key that does not open. Never a reason to show something else instead. */
export class VaultError extends Data.TaggedError("VaultError")<{
  /** `Destroyed`: the tenant's keys were, on purpose. `UnknownKey`: not one of them. `Tampered`: changed, or it stood elsewhere. */
  readonly reason: "Destroyed" | "UnknownKey" | "Tampered"
  readonly message: string
}> {}

/** Seconds that a process works with the keys it has read. */
export const keysRemembered = 60

export interface Vault {
  /** A text sealed under the tenant's newest key. */
  readonly seal: (place: Place, text: string) => Effect.Effect<string, VaultError | SqlError>
  readonly open: (place: Place, sealed: string) => Effect.Effect<string, VaultError | SqlError>
  /** Equal for equal values of one column in one tenant; `column` as `principal.phone`. Give the value in its one normal form. */
  readonly index: (tenantId: string, column: string, value: string) => Effect.Effect<string, VaultError | SqlError>
  /** The version that values are sealed under now. */
  readonly version: (tenantId: string) => Effect.Effect<number, VaultError | SqlError>
  /** This process reads the tenant's keys anew; call it after the commit that changed them. */
  readonly forget: (tenantId: string) => Effect.Effect<void>
  readonly masters: Masters
}

const none = () => Effect.die(new Error("No keys were opened here: provide Vault.layer."))

/** A reference, so that nothing which only seals on the way has to name it. Without its layer everything fails. */
export const Vault = Context.Reference<Vault>("@mahalla/kernel/Vault", {
  defaultValue: () => ({
    seal: none,
    open: none,
    index: none,
    version: none,
    forget: none,
    get masters(): Masters {
      throw new Error("No keys were opened here: provide Vault.layer.")
    }
  })
})

interface KeyRow {
  readonly purpose: KeyPurpose
  readonly version: number
  readonly master_id: string
  readonly wrapped: string
}

interface TenantKeys {
  readonly data: ReadonlyMap<number, KeyObject>
  readonly version: number
  readonly index: KeyObject
}

const error = (reason: VaultError["reason"], message: string) => new VaultError({ reason, message })

/** A new key of a tenant, as a row. */
export const newKeyRow = (masters: Masters, tenantId: string, purpose: KeyPurpose, version: number) => {
  const masterId = masters.current.id
  const wrapped = wrapKey(masters.current.key, { tenantId, purpose, version, masterId }, newKey())
  return { tenant_id: tenantId, purpose, version, master_id: masterId, wrapped }
}

const readRows = (sql: SqlClient, tenantId: string) =>
  sql<KeyRow>`select purpose, version, master_id, wrapped from mahalla.tenant_key where tenant_id = ${tenantId}`

/** The tenant's rows; made when there are none. Of two processes that make them at once both get the same. */
const rowsOf = Effect.fnUntraced(function* (sql: SqlClient, masters: Masters, tenantId: string) {
  const rows = yield* readRows(sql, tenantId)
  if (rows.length > 0) return rows
  const made = JSON.stringify([newKeyRow(masters, tenantId, "data", 1), newKeyRow(masters, tenantId, "index", 1)])
  yield* sql`
    insert into mahalla.tenant_key (tenant_id, purpose, version, master_id, wrapped, made_at)
    select tenant_id, purpose, version, master_id, wrapped, now()
    from jsonb_to_recordset(${made}::text::jsonb) as made (tenant_id uuid, purpose text, version integer, master_id text, wrapped text)
    on conflict do nothing`
  return yield* readRows(sql, tenantId)
})

/** A tenant's key out of its row. */
export const unwrapRow = (masters: Masters, tenantId: string, row: KeyRow): Effect.Effect<KeyObject, VaultError> => {
  const { master_id: masterId, purpose, version, wrapped } = row
  const master = [masters.current, masters.previous].find((one) => one?.id === masterId)
  const key =
    master === undefined ? undefined : unwrapKey(master.key, { tenantId, purpose, version, masterId }, wrapped)
  if (key !== undefined) return Effect.succeed(key)
  return Effect.fail(
    master === undefined
      ? error(
          "UnknownKey",
          `The keys of tenant ${tenantId} are wrapped by the master key ${masterId}, which this server does not hold. Give the secret it was made from as MAHALLA_SECRET_PREVIOUS.`
        )
      : error(
          "Tampered",
          `A key of tenant ${tenantId} does not open: its row in mahalla.tenant_key was changed. Bring it back from a backup.`
        )
  )
}

const keysOf = Effect.fnUntraced(function* (masters: Masters, tenantId: string, rows: ReadonlyArray<KeyRow>) {
  if (rows.every((row) => row.wrapped === ""))
    return yield* error(
      "Destroyed",
      `The keys of tenant ${tenantId} were destroyed; what they sealed is gone for good.`
    )
  const data = new Map<number, KeyObject>()
  let index: KeyObject | undefined
  for (const row of rows) {
    const key = yield* unwrapRow(masters, tenantId, row)
    if (row.purpose === "data") data.set(row.version, key)
    else index = key
  }
  if (index === undefined || data.size === 0)
    return yield* error(
      "UnknownKey",
      `Keys of tenant ${tenantId} are missing in mahalla.tenant_key. Bring the table back from a backup.`
    )
  return { data, index, version: Math.max(...data.keys()) } satisfies TenantKeys
})

const makeVault = (masters: Masters) =>
  Effect.gen(function* () {
    const database = yield* Database
    yield* admitMasters(database.platform, masters)
    const memory = remembered({
      // What fails is not remembered; the outcome says so that errors of two kinds may come out.
      read: (sql, tenantId: string) =>
        Effect.flatMap(rowsOf(sql, masters, tenantId), (rows) => Effect.result(keysOf(masters, tenantId, rows))),
      keys: 5_000,
      seconds: keysRemembered
    })
    const forget = (tenantId: string) => Effect.provideService(memory.forget(tenantId), Database, database)
    const keys = (tenantId: string) =>
      Effect.provideService(memory.get(tenantId), Database, database).pipe(
        Effect.flatMap((result) => Effect.fromResult(result)),
        Effect.tapError(() => forget(tenantId))
      )
    const open = Effect.fnUntraced(function* (place: Place, sealed: string) {
      const { tenantId } = place
      const version = versionOf(sealed)
      const where = `${place.table}.${place.column} of row ${place.row}`
      if (version === undefined) return yield* error("Tampered", `What stands in ${where} is no sealed value.`)
      let known = yield* keys(tenantId)
      if (!known.data.has(version)) {
        // Made by another process since we looked.
        yield* forget(tenantId)
        known = yield* keys(tenantId)
      }
      const key = known.data.get(version)
      if (key === undefined)
        return yield* error(
          "UnknownKey",
          `${where} was sealed with version ${version} of the key of tenant ${tenantId}, which is not there any more.`
        )
      return (
        openText(key, version, place, sealed) ??
        (yield* error("Tampered", `${where} does not open: the value was changed, or belongs elsewhere.`))
      )
    })
    return {
      seal: (place, text) =>
        Effect.map(keys(place.tenantId), ({ data, version }) => sealText(data.get(version)!, version, place, text)),
      open,
      index: (tenantId, column, value) => Effect.map(keys(tenantId), ({ index }) => indexOf(index, column, value)),
      version: (tenantId) => Effect.map(keys(tenantId), ({ version }) => version),
      forget,
      masters
    } satisfies Vault
  })

/** The vault over the database's keys; refuses a database whose keys these masters do not open. */
export const layerVault = (masters: Masters): Layer.Layer<never, MasterKeyError | SqlError, Database> =>
  Layer.effect(Vault, makeVault(masters))

/** A fault in the keys or in what they sealed is nobody's to handle; that the database does not answer is an ordinary failure. */
const orFault = <A, R>(self: Effect.Effect<A, VaultError | SqlError, R>): Effect.Effect<A, SqlError, R> =>
  Effect.catchTag(self, "VaultError", Effect.die)

/** A column of sealed values in the transaction's tenant. */
export interface SealedColumn {
  readonly table: string
  readonly column: string
  readonly seal: (row: string, text: string) => Effect.Effect<string, SqlError, TenantTx>
  readonly open: (row: string, sealed: string) => Effect.Effect<string, SqlError, TenantTx>
  /** The blind index of a value of this column. */
  readonly index: (value: string) => Effect.Effect<string, SqlError, TenantTx>
}

export const sealedColumn = (table: string, column: string): SealedColumn => {
  const inPlace = <A>(
    row: string,
    use: (vault: Vault, place: Place) => Effect.Effect<A, VaultError | SqlError>
  ): Effect.Effect<A, SqlError, TenantTx> =>
    Effect.gen(function* () {
      const { tenantId } = yield* TenantTx
      return yield* orFault(use(yield* Vault, { tenantId, table, column, row }))
    })
  return {
    table,
    column,
    seal: (row, text) => inPlace(row, (vault, place) => vault.seal(place, text)),
    open: (row, sealed) => inPlace(row, (vault, place) => vault.open(place, sealed)),
    index: (value) => inPlace("", (vault, place) => vault.index(place.tenantId, `${table}.${column}`, value))
  }
}
