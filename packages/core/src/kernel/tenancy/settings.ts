/** The settings of the transaction's tenant. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import type { TenantSettings } from "./Tenant.ts"

export const tenantSettings = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{
    settings: TenantSettings
  }>`select settings from mahalla.tenant where tenant_id = ${tenantId}`
  return row === undefined
    ? yield* Effect.die(new Error(`Tenant ${tenantId} has no row in mahalla.tenant`))
    : row.settings
})
