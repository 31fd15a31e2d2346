/** Ten codes to write down, for the day the telephone is lost. Each is good once. */
import { randomInt } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newSalt, sameHash, slowHash } from "./slowHash.ts"

/** Crockford's base 32. */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

/** 50 random bits, as `7F3K9-QXZ41`. */
const newCode = () => {
  const text = Array.from({ length: 10 }, () => alphabet[randomInt(32)]).join("")
  return `${text.slice(0, 5)}-${text.slice(5)}`
}

/** People type small letters, O for 0, I and L for 1, and leave the dash out. */
const normal = (code: string) => code.toUpperCase().replaceAll("-", "").replaceAll("O", "0").replaceAll(/[IL]/g, "1")

const hashOf = (tenantId: string, principalId: string, code: string, salt: string) =>
  slowHash("recovery-code", `${tenantId} ${principalId} ${normal(code)}`, salt)

/** A new set with its hashes; makes none of it known to the database, for hashing takes long and a transaction should not. */
export const newRecoveryCodes = Effect.fnUntraced(function* (tenantId: string, principalId: string) {
  const salt = newSalt()
  const codes = Array.from({ length: 10 }, newCode)
  const hashes = yield* Effect.forEach(codes, (code) => hashOf(tenantId, principalId, code, salt), { concurrency: 2 })
  return { codes, hashes, salt }
})

/** Puts a set in the place of what there was. */
export const keepRecoveryCodes = Effect.fnUntraced(function* (
  principalId: string,
  { hashes, salt }: { readonly hashes: ReadonlyArray<string>; readonly salt: string }
) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`delete from mahalla.recovery_code where tenant_id = ${tenantId} and principal_id = ${principalId}`
  yield* sql`
    insert into mahalla.recovery_code (tenant_id, principal_id, place, salt, code_hash, created_at)
    select ${tenantId}::uuid, ${principalId}::uuid, place, ${salt}::text, hash, ${now}::timestamptz
    from unnest(${hashes}::text[]) with ordinality as given (hash, place)`
})

/** The salt of somebody's set; undefined when they have none left. */
export const recoverySalt = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ salt: string }>`
    select salt from mahalla.recovery_code where tenant_id = ${tenantId} and principal_id = ${principalId} and used_at is null limit 1`
  return row?.salt
})

/** The hash under which a code would stand. Outside any transaction. */
export const recoveryHash = hashOf

/** Uses the code with this hash up; of several requests with the same one, one. */
export const takeRecoveryCode = Effect.fn("identity.takeRecoveryCode")(function* (principalId: string, hash: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ place: number; code_hash: string }>`
    select place, code_hash from mahalla.recovery_code
    where tenant_id = ${tenantId} and principal_id = ${principalId} and used_at is null`
  const found = rows.filter((row) => sameHash(row.code_hash, hash))[0]
  if (found === undefined) return false
  const used = yield* sql`
    update mahalla.recovery_code set used_at = ${new Date(yield* Clock.currentTimeMillis)}
    where tenant_id = ${tenantId} and principal_id = ${principalId} and place = ${found.place} and used_at is null
    returning place`
  return used.length === 1
})
