/** The settings of the transaction's tenant, as of five seconds ago at most. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { tenantById } from "./resolve.ts"

export const tenantSettings = Effect.gen(function* () {
  const { tenantId } = yield* TenantTx
  const tenant = yield* tenantById(tenantId)
  return tenant === undefined
    ? yield* Effect.die(new Error(`Tenant ${tenantId} has no row in mahalla.tenant`))
    : tenant.settings
})
