/** How a tenant's keys stand, and the end of them. */
import * as Effect from "effect/Effect"
import { inTransactionOf, PlatformTx, withPlatform } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import * as Schema from "effect/Schema"
import { Vault } from "./Vault.ts"

export const KeyChanged = defineEvent({
  id: "personal.key-changed",
  payload: Schema.Struct({ version: Schema.Int })
})
export const KeysDestroyed = defineEvent({ id: "personal.keys-destroyed", payload: Schema.Struct({}) })

export interface KeyState {
  /** What is sealed now is sealed with this version; null before the first value. */
  readonly version: number | null
  readonly destroyed: boolean
  /** Versions that values may still be sealed with, oldest first, with the check value of the master key around each. */
  readonly keys: ReadonlyArray<{ readonly version: number; readonly masterId: string; readonly madeAt: Date }>
  /** What was last gone through, and what is not at its end. */
  readonly parts: ReadonlyArray<{
    readonly part: string
    /** Rows looked at. */
    readonly done: number
    readonly startedAt: Date
    readonly finishedAt: Date | null
  }>
}

/** Of one tenant. */
export const keyState = Effect.fn("keyState")(function* (tenantId: string) {
  return yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const rows = yield* sql<{ version: number; masterId: string; madeAt: Date; wrapped: string }>`
        select version, master_id as "masterId", made_at as "madeAt", wrapped from mahalla.tenant_key
        where tenant_id = ${tenantId} and purpose = 'data' order by version`
      const parts = yield* sql<KeyState["parts"][number]>`
        select part, done::float8 as done, started_at as "startedAt", finished_at as "finishedAt" from mahalla.reseal
        where tenant_id = ${tenantId} order by part`
      const keys = rows
        .filter(({ wrapped }) => wrapped !== "")
        .map(({ madeAt, masterId, version }) => ({ version, masterId, madeAt }))
      return {
        version: keys.at(-1)?.version ?? null,
        destroyed: rows.length > 0 && keys.length === 0,
        keys,
        parts
      } satisfies KeyState
    })
  )
})

/** One change of a tenant's keys at a time. */
export const lockKeys = Effect.fnUntraced(function* (tenantId: string) {
  const { sql } = yield* PlatformTx
  yield* sql`select pg_advisory_xact_lock(hashtextextended('mahalla.tenant-key', hashtextextended(${tenantId}, 0)))`
})

/**
 * Destroys a tenant's keys: whatever they have sealed is gone for good, here at once, in other processes within a minute, and in backups
 * as soon as the master key of their time is destroyed too. Commitments and proofs stay valid.
 */
export const destroyTenantKeys = Effect.fn("destroyTenantKeys")(function* (tenantId: string) {
  const vault = yield* Vault
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* lockKeys(tenantId)
      const gone = yield* sql`
        update mahalla.tenant_key set wrapped = '' where tenant_id = ${tenantId} and wrapped <> '' returning version`
      // None yet: a later value must not bring some into being.
      yield* sql`
        insert into mahalla.tenant_key (tenant_id, purpose, version, master_id, wrapped, made_at)
        select ${tenantId}, purpose, 1, ${vault.masters.current.id}, '', now() from unnest(array['data', 'index']) as purpose
        on conflict do nothing`
      // Nothing is left that could be sealed anew.
      yield* sql`delete from mahalla.reseal where tenant_id = ${tenantId}`
      if (gone.length > 0) yield* inTransactionOf(tenantId, sql, appendEvent(KeysDestroyed, {}))
    })
  )
  yield* vault.forget(tenantId)
})

export interface MasterState {
  /** Check value. */
  readonly id: string
  readonly madeAt: Date
  /** When an operator confirmed that it is kept elsewhere; null: not yet. */
  readonly escrowedAt: Date | null
  /** Keys that the previous master key still wraps; 0 where there is none. */
  readonly left: number
}

/** The master key in use. */
export const masterState = Effect.gen(function* () {
  const { masters } = yield* Vault
  return yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const rows = yield* sql<MasterState>`
        select id, made_at as "madeAt", escrowed_at as "escrowedAt",
          (select count(*)::int from mahalla.tenant_key where master_id <> ${masters.current.id} and wrapped <> '') as "left"
        from mahalla.master_key where id = ${masters.current.id}`
      return rows[0]!
    })
  )
})

/** Says that the master key in use is kept somewhere else too. */
export const confirmEscrow = Effect.gen(function* () {
  const { masters } = yield* Vault
  yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`update mahalla.master_key set escrowed_at = now() where id = ${masters.current.id}`
    )
  )
})
