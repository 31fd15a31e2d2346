/** Networks as rows. */
import * as Effect from "effect/Effect"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import type { Transform } from "./transform.ts"

export interface NetworkRow {
  readonly id: string
  readonly name: string
  readonly source: "hand" | "epanet" | "geojson"
  readonly transform: Transform | null
  readonly revision: string
  readonly importedAt: Date | null
  readonly createdAt: Date
}

const columns = `id, name, source, transform, revision, imported_at as "importedAt", created_at as "createdAt"`

export const networkByName = Effect.fnUntraced(function* (name: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<NetworkRow>`
    select ${sql.literal(columns)} from mahalla.network where tenant_id = ${tenantId} and name = ${name}`
  return rows[0]
})

/** Made where it is not there; nobody else imports into it until this transaction has ended. */
export const lockNetwork = Effect.fnUntraced(function* (name: string, now: Date) {
  const { sql, tenantId } = yield* TenantTx
  if (!/^\P{C}{1,100}$/u.test(name))
    return yield* new InvalidInput({
      issues: [{ pointer: "/name", detail: "A network's name has 1 to 100 characters." }]
    })
  const rows = yield* sql<NetworkRow>`
    insert into mahalla.network (tenant_id, id, name, revision, created_at)
    values (${tenantId}, ${yield* newId}, ${name}, ${yield* newId}, ${now})
    on conflict (tenant_id, name) do update set name = excluded.name returning ${sql.literal(columns)}`
  return rows[0]!
})

export const loadNetwork = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<NetworkRow>`
    select ${sql.literal(columns)} from mahalla.network where tenant_id = ${tenantId} and id = ${id}`
  return rows[0] ?? (yield* new NotFound({ what: "network", id }))
})

/** A city has a handful. */
export const listNetworks = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<NetworkRow>`
    select ${sql.literal(columns)} from mahalla.network where tenant_id = ${tenantId} order by name`
})

/** Whoever has its graph or tiles in memory reads it again. */
export const touchNetwork = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`update mahalla.network set revision = ${yield* newId} where tenant_id = ${tenantId} and id = ${id}`
})
