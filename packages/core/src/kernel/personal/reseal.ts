/**
 * Brings every sealed value of a tenant under its newest key, batch by batch while the server runs, and takes away keys that nothing is
 * sealed with any more. The same work seals what older versions kept in clear. How far it is stands in the database, in the transaction
 * of each batch: whoever is killed is followed by another who goes on there.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { inTransactionOf, PlatformTx, withPlatform } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { KeyChanged, lockKeys } from "./keyState.ts"
import type { ResealReader, SealedPart } from "./SealedPart.ts"
import { keysRemembered, newKeyRow, unwrapRow, Vault, VaultError } from "./Vault.ts"
import { wrapKey } from "./crypt.ts"

/** Rows of one transaction. */
export const resealBatch = 500

/** Seconds after which no process works with the keys that it knew before a new one was made. */
export const settled = keysRemembered * 2

/** Goes through all of a tenant's values once more. */
const beginReseal = Effect.fnUntraced(function* (tenantId: string, parts: ReadonlyArray<string>) {
  const { sql } = yield* PlatformTx
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.reseal (tenant_id, part, started_at) select ${tenantId}, part, ${at} from unnest(${parts}::text[]) as part
    on conflict (tenant_id, part) do update set position = null, done = 0, started_at = excluded.started_at, finished_at = null`
})

/**
 * Gives a tenant a new key; what is sealed from now on is sealed with it, and the resealer brings the rest there. Gives the version.
 * While one change is under way another begins nothing and gives that one's version.
 */
export const rotateTenantKey = Effect.fn("rotateTenantKey")(function* (
  tenantId: string,
  parts: ReadonlyArray<SealedPart>,
  actorId: string | null = null
) {
  const vault = yield* Vault
  // Made first if there is none yet, and destroyed ones are told here.
  yield* vault.version(tenantId)
  const version = yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* lockKeys(tenantId)
      const rows = yield* sql<{ version: number; destroyed: boolean }>`
        select version, wrapped = '' as destroyed from mahalla.tenant_key
        where tenant_id = ${tenantId} and purpose = 'data' order by version desc`
      const newest = rows[0]!.version
      // By another process, since this one looked.
      if (rows[0]!.destroyed) return undefined
      if (rows.length > 1) return newest
      const row = newKeyRow(vault.masters, tenantId, "data", newest + 1)
      const at = new Date(yield* Clock.currentTimeMillis)
      yield* sql`
        insert into mahalla.tenant_key (tenant_id, purpose, version, master_id, wrapped, made_at)
        values (${tenantId}, 'data', ${row.version}, ${row.master_id}, ${row.wrapped}, ${at})`
      yield* beginReseal(
        tenantId,
        parts.map(({ id }) => id)
      )
      yield* inTransactionOf(tenantId, sql, appendEvent(KeyChanged, { version: row.version }, { actorId }))
      return row.version
    })
  )
  yield* vault.forget(tenantId)
  return version ?? (yield* vault.version(tenantId))
})

interface Open {
  readonly tenantId: string
  readonly part: string
}

/** One batch of one part. The tenant's keys are read before, so that no connection waits for another. */
const resealPart = Effect.fn("reseal")(function* ({ tenantId }: Open, part: SealedPart) {
  const vault = yield* Vault
  const version = yield* vault.version(tenantId)
  return yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const [at] = yield* sql<{ position: string | null }>`
        select position from mahalla.reseal where tenant_id = ${tenantId} and part = ${part.id} and finished_at is null for update`
      if (at === undefined) return 0
      const reader: ResealReader = { sql, tenantId, vault, version }
      const { position, seen } = yield* part.turn(reader, at.position, resealBatch)
      const now = new Date(yield* Clock.currentTimeMillis)
      yield* sql`
        update mahalla.reseal set position = ${position}, done = done + ${seen}, finished_at = ${seen < resealBatch ? now : null}
        where tenant_id = ${tenantId} and part = ${part.id}`
      return seen
    })
  )
})

/**
 * Tenants with keys beside the newest one whose values have all been gone through since processes know the newest. Not where a part is
 * of a module that this city does not have: it may have values under the old key.
 */
const retirable = Effect.fnUntraced(function* (parts: ReadonlyArray<SealedPart>) {
  const { sql } = yield* PlatformTx
  const ours = parts.map(({ id }) => id)
  const before = new Date((yield* Clock.currentTimeMillis) - settled * 1000)
  const rows = yield* sql<{ tenantId: string }>`
    select k.tenant_id as "tenantId" from mahalla.tenant_key k where k.purpose = 'data' and k.wrapped <> ''
    group by k.tenant_id having count(*) > 1 and max(k.made_at) < ${before}
      and not exists (select from mahalla.reseal r where r.tenant_id = k.tenant_id and (r.finished_at is null or r.part <> all (${ours}::text[])))`
  return rows.map((row) => row.tenantId)
})

/** Takes old keys away when nothing is left under them; begins anew when a process has still used one. */
const retireKeys = Effect.fnUntraced(function* (tenantId: string, parts: ReadonlyArray<SealedPart>) {
  const vault = yield* Vault
  yield* vault.forget(tenantId)
  const version = yield* vault.version(tenantId)
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* lockKeys(tenantId)
      let left = 0
      for (const part of parts) left += yield* part.left({ sql, tenantId, vault, version })
      if (left > 0)
        return yield* beginReseal(
          tenantId,
          parts.map(({ id }) => id)
        )
      yield* sql`delete from mahalla.tenant_key where tenant_id = ${tenantId} and purpose = 'data' and version < ${version}`
    })
  )
  yield* vault.forget(tenantId)
})

/** What does not open in one tenant is told, tried again with the next turn, and holds no other tenant up. */
const toldOf =
  (tenantId: string) =>
  <E, R>(self: Effect.Effect<number, E | VaultError, R>) =>
    Effect.catchIf(
      self,
      (error): error is VaultError => error instanceof VaultError,
      (error) => Effect.as(Effect.logError(`Keys of tenant ${tenantId} cannot be changed: ${error.message}`), 0)
    )

/** Wraps keys anew that the previous master key has wrapped; gives how many. Keys of tenants stay what they are. */
const rewrap = Effect.gen(function* () {
  const { masters } = yield* Vault
  const { current, previous } = masters
  if (previous === undefined) return 0
  return yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const rows = yield* sql<{
        tenant_id: string
        purpose: "data" | "index"
        version: number
        master_id: string
        wrapped: string
      }>`
        select tenant_id, purpose, version, master_id, wrapped from mahalla.tenant_key
        where master_id = ${previous.id} and wrapped <> '' order by tenant_id limit ${resealBatch} for update skip locked`
      let done = 0
      for (const row of rows) {
        const { purpose, tenant_id: tenantId, version } = row
        const again = Effect.gen(function* () {
          const key = yield* unwrapRow(masters, tenantId, row)
          const wrapped = wrapKey(current.key, { tenantId, purpose, version, masterId: current.id }, key)
          yield* sql`
            update mahalla.tenant_key set wrapped = ${wrapped}, master_id = ${current.id}
            where tenant_id = ${tenantId} and purpose = ${purpose} and version = ${version}`
          return 1
        })
        done += yield* toldOf(tenantId)(again)
      }
      if (rows.length < resealBatch) {
        yield* sql`
          update mahalla.master_key set retired_at = ${new Date(yield* Clock.currentTimeMillis)}
          where id = ${previous.id} and retired_at is null
            and not exists (select from mahalla.tenant_key where master_id = ${previous.id} and wrapped <> '')`
      }
      return done
    })
  )
})

/** One turn: a batch of twenty that are open, none before the others for good; nothing of tenants whose keys were destroyed. Gives how many rows it looked at; 0: nothing is to be done. */
export const resealTurn = Effect.fnUntraced(function* (parts: ReadonlyArray<SealedPart>) {
  let seen = yield* rewrap
  const open = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<Open>`
        select tenant_id as "tenantId", part from mahalla.reseal r
        where finished_at is null and part = any (${parts.map(({ id }) => id)}::text[])
          and not exists (select from mahalla.tenant_key k where k.tenant_id = r.tenant_id and k.wrapped = '')
        order by random() limit 20`
    )
  )
  for (const one of open) {
    const part = parts.find(({ id }) => id === one.part)
    if (part !== undefined) seen += yield* toldOf(one.tenantId)(resealPart(one, part))
  }
  for (const tenantId of yield* withPlatform(retirable(parts)))
    yield* toldOf(tenantId)(Effect.as(retireKeys(tenantId, parts), 0))
  return seen
})
