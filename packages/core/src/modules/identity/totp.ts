/** The authenticator app of a person: set up, and its codes taken, none of them twice. */
import { Secret } from "otpauth"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { totpStep, totpUri } from "../../kernel/totp.ts"

export const secretColumn = sealedColumn("totp", "secret")

/** Begins to set one up; it counts once a code of it was shown. A second beginning takes the place of the first. */
export const beginTotp = Effect.fn("identity.beginTotp")(function* (
  principalId: string,
  issuer: string,
  label: string
) {
  const { sql, tenantId } = yield* TenantTx
  // RFC 4226, section 4, R6: 160 bits.
  const secret = new Secret({ size: 20 }).base32
  const sealed = yield* secretColumn.seal(principalId, secret)
  const made = yield* sql`
    insert into mahalla.totp as t (tenant_id, principal_id, secret, created_at)
    values (${tenantId}, ${principalId}, ${sealed}, ${new Date(yield* Clock.currentTimeMillis)})
    on conflict (tenant_id, principal_id) do update set secret = excluded.secret, created_at = excluded.created_at
      where t.confirmed_at is null
    returning principal_id`
  if (made.length === 0)
    return yield* new Refused({
      code: "factor-exists",
      message: "An authenticator app is set up already. Remove it before you set up another."
    })
  return { secret, uri: totpUri(secret, issuer, label) }
})

/**
 * Takes a code; each is taken once, whoever sends it first. `confirmed`: whether it is of an app that is in use, or of one that is being
 * set up and counts from now on.
 */
export const takeTotp = Effect.fn("identity.takeTotp")(function* (
  principalId: string,
  code: string,
  confirmed: boolean
) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const [row] = yield* sql<{ secret: string }>`
    select secret from mahalla.totp
    where tenant_id = ${tenantId} and principal_id = ${principalId} and (confirmed_at is not null) = ${confirmed}`
  if (row === undefined) return false
  const step = totpStep(yield* secretColumn.open(principalId, row.secret), code, now)
  if (step === undefined) return false
  const taken = yield* sql`
    update mahalla.totp set last_step = ${step}, confirmed_at = coalesce(confirmed_at, ${new Date(now)})
    where tenant_id = ${tenantId} and principal_id = ${principalId} and secret = ${row.secret} and last_step < ${step}
      and (confirmed_at is not null) = ${confirmed}
    returning principal_id`
  return taken.length === 1
})
