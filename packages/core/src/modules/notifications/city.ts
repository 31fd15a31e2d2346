/** The transaction's city as messages need it. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { tenantById } from "../../kernel/tenancy/resolve.ts"
import type { CityFacts } from "./plan.ts"

export const cityFacts = Effect.gen(function* () {
  const { tenantId } = yield* TenantTx
  const tenant = yield* tenantById(tenantId)
  if (tenant === undefined) return yield* Effect.die(new Error(`Tenant ${tenantId} has no row in mahalla.tenant`))
  const { languages, notifications = {}, timeZone } = tenant.settings
  return {
    name: tenant.name,
    language: languages[0],
    timeZone,
    settings: notifications,
    tenant
  } satisfies CityFacts & {
    readonly tenant: typeof tenant
  }
})
