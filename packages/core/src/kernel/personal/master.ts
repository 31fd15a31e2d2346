/**
 * The master key: derived from the deployment's secret, never stored. It wraps the tenants' keys and seals nothing else. The database
 * knows it by a check value, so that a wrong secret is told at the start and not by what does not open later.
 */
import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { SqlClient } from "effect/sql/SqlClient"

/** The secret does not belong to this database. */
export class MasterKeyError extends Data.TaggedError("MasterKeyError")<{ readonly message: string }> {}

export interface Master {
  /** Check value: sixteen hexadecimal digits. Says nothing about the key. */
  readonly id: string
  readonly key: KeyObject
}

const derive = (secret: Redacted.Redacted<string>, purpose: string, size: number) =>
  Buffer.from(hkdfSync("sha256", Redacted.value(secret), "mahalla", purpose, size))

export const masterOf = (secret: Redacted.Redacted<string>): Master => ({
  id: derive(secret, "master:check", 8).toString("hex"),
  key: createSecretKey(derive(secret, "master:wrap", 32))
})

/** The master key in use and, while a change of secret lasts, the one before it. */
export interface Masters {
  readonly current: Master
  readonly previous?: Master
}

export const mastersOf = (secret: Redacted.Redacted<string>, previous?: Redacted.Redacted<string>): Masters => {
  const current = masterOf(secret)
  const before = previous === undefined ? undefined : masterOf(previous)
  return before === undefined || before.id === current.id ? { current } : { current, previous: before }
}

/** Whether the database's check values admit these keys; `known` are those in use there. */
export const checkMasters = (known: ReadonlyArray<string>, masters: Masters): Effect.Effect<void, MasterKeyError> => {
  const held = [masters.current.id, masters.previous?.id]
  const strange = known.find((id) => !held.includes(id))
  return strange === undefined
    ? Effect.void
    : Effect.fail(
        new MasterKeyError({
          message: `This database is sealed with the master key ${strange}, and the secret given here makes ${masters.current.id}. Nothing was changed. Give the secret that belongs to the database (MAHALLA_SECRET, or the file secret in MAHALLA_HOME; from its recovery text: mahalla key restore). To change the secret, give the old one as MAHALLA_SECRET_PREVIOUS.`
        })
      )
}

/** Check values of the master keys that keys of tenants are wrapped by. Index `tenant_key_master`. */
const knownMasters = (sql: SqlClient) =>
  Effect.map(
    sql<{ id: string }>`
      select id from mahalla.master_key m where exists (select from mahalla.tenant_key k where k.master_id = m.id and k.wrapped <> '')`,
    (rows) => rows.map((row) => row.id)
  )

/** The same before anything of the database is touched, as its owner; a database without such a table is new. */
export const checkDatabase = Effect.fnUntraced(function* <E>(
  query: <A>(text: string) => Effect.Effect<ReadonlyArray<A>, E>,
  masters: Masters
) {
  const [table] = yield* query<{ there: boolean }>("select to_regclass('mahalla.tenant_key') is not null as there")
  if (table?.there !== true) return
  const rows = yield* query<{ id: string }>(
    "select distinct master_id as id from mahalla.tenant_key where wrapped <> ''"
  )
  yield* checkMasters(
    rows.map((row) => row.id),
    masters
  )
})

/** Says at the start that this master key is used here; refuses where others are that we do not hold. */
export const admitMasters = Effect.fn("admitMasters")(function* (sql: SqlClient, masters: Masters) {
  yield* checkMasters(yield* knownMasters(sql), masters)
  // One that was retired is used again: somebody went back.
  yield* sql`
    insert into mahalla.master_key (id, made_at) values (${masters.current.id}, now())
    on conflict (id) do update set retired_at = null where mahalla.master_key.retired_at is not null`
})
