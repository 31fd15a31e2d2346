/** The provider's memory in PostgreSQL: one table behind row-level security, with the grant's revoke mark in every look-up. */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Adapter, AdapterFactory, AdapterPayload } from "oidc-provider"
import { type Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import type { Keys } from "../../kernel/keys/Keys.ts"
import { metadataOf, clientById } from "./clients.ts"
import { findGrant, keepGrant, revokeGrant } from "./grants.ts"
import { hashOf, type Seal } from "./seal.ts"

/** Why the library calls, and what it throws when somebody else was faster. */
export interface AdapterOptions {
  readonly tenantId: string
  readonly seal: Seal
  readonly context: Context.Context<Database | Keys>
  /** The endpoint that is being served, as the library names it. */
  readonly route: () => string | undefined
  /** A code or refresh token that was used in the same moment by another request. */
  readonly used: (model: string) => Error
}

const upsertRecord = Effect.fnUntraced(function* (
  seal: Seal,
  model: string,
  token: string,
  payload: AdapterPayload,
  life: number
) {
  const { sql, tenantId } = yield* TenantTx
  const id = hashOf(token)
  const expiresAt = new Date((yield* Clock.currentTimeMillis) + life * 1000)
  const sealed = seal.close(`${model} ${id}`, payload)
  const rows = yield* sql`
    insert into mahalla.oauth_record (tenant_id, model, id, payload, grant_id, uid, expires_at)
    values (${tenantId}, ${model}, ${id}, ${sealed}, ${payload.grantId ?? null}, ${payload.uid ?? null}, ${expiresAt})
    on conflict (tenant_id, model, id) do update set payload = excluded.payload, uid = excluded.uid, expires_at = excluded.expires_at
      where ${model !== "ReplayDetection"}
    returning id`
  return rows.length > 0
})

interface Row {
  readonly id: string
  readonly payload: string
  readonly consumed_at: Date | null
}

/** Index: the primary key, or `oauth_record_uid`. */
const findRecord = Effect.fnUntraced(function* (seal: Seal, model: string, by: { id: string } | { uid: string }) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const one = "id" in by ? sql`r.id = ${by.id}` : sql`r.uid = ${by.uid}`
  const [row] = yield* sql<Row>`
    select r.id, r.payload, r.consumed_at from mahalla.oauth_record r
    left join mahalla.oauth_grant g on g.tenant_id = r.tenant_id and g.id = r.grant_id
    where r.tenant_id = ${tenantId} and r.model = ${model} and ${one} and r.expires_at > ${now}
      and (r.grant_id is null or g.revoked_at is null)`
  if (row === undefined) return undefined
  const payload = seal.open(`${model} ${row.id}`, row.payload) as AdapterPayload | undefined
  if (payload === undefined || row.consumed_at === null) return payload
  return { ...payload, consumed: Math.floor(row.consumed_at.getTime() / 1000) }
})

/** One statement, so that of many at once one wins; false for the others. */
const consumeRecord = Effect.fnUntraced(function* (model: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql`
    update mahalla.oauth_record r set consumed_at = ${now}
    where r.tenant_id = ${tenantId} and r.model = ${model} and r.id = ${id} and r.consumed_at is null
      and not exists (select from mahalla.oauth_grant g where g.tenant_id = r.tenant_id and g.id = r.grant_id and g.revoked_at is not null)
    returning r.id`
  return rows.length > 0
})

const grantOfRecord = Effect.fnUntraced(function* (model: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ grant_id: string | null }>`
    select grant_id from mahalla.oauth_record where tenant_id = ${tenantId} and model = ${model} and id = ${id}`
  return rows[0]?.grant_id
})

const destroyRecord = Effect.fnUntraced(function* (model: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`delete from mahalla.oauth_record where tenant_id = ${tenantId} and model = ${model} and id = ${id}`
})

/** What the library calls for each of its models. Every call is a transaction of its own, so a refusal afterwards undoes nothing. */
export const makeAdapter = (options: AdapterOptions): AdapterFactory => {
  const { context, route, seal, tenantId, used } = options
  const run = <A, E>(effect: Effect.Effect<A, E, TenantTx | Keys>): Promise<A> =>
    Effect.runPromise(Effect.provideContext(withTenant(tenantId)(effect), context))
  const revoke = (id: string) => run(revokeGrant(id, route() === "revocation" ? "app" : "reuse"))

  return (model): Adapter => {
    if (model === "Client") {
      const refuse = () => Promise.reject(new Error("Apps are registered at /v1/apps"))
      const nothing = () => Promise.resolve(undefined)
      return {
        find: (id) => run(Effect.map(clientById(id), (found) => (found === undefined ? undefined : metadataOf(found)))),
        findByUid: nothing,
        findByUserCode: nothing,
        upsert: refuse,
        consume: refuse,
        destroy: refuse,
        revokeByGrantId: nothing
      }
    }
    const grants = model === "Grant"
    return {
      upsert: async (id, payload, life = 0) => {
        if (grants) return run(keepGrant(id, payload, life))
        if (!(await run(upsertRecord(seal, model, id, payload, life)))) throw used(model)
      },
      find: (id) => run(grants ? findGrant(id) : findRecord(seal, model, { id: hashOf(id) })),
      findByUid: (uid) => run(findRecord(seal, model, { uid })),
      // Devices with a keyboard of four buttons are not served.
      findByUserCode: () => Promise.resolve(undefined),
      consume: async (id) => {
        if (await run(consumeRecord(model, hashOf(id)))) return
        // As if it had come a moment later: of two who have the same token one may be a thief, and it may be the one who was faster.
        const grantId = await run(grantOfRecord(model, hashOf(id)))
        if (grantId != null) await revoke(grantId)
        throw used(model)
      },
      destroy: (id) => (grants ? revoke(id) : run(destroyRecord(model, hashOf(id)))),
      revokeByGrantId: revoke
    }
  }
}
