/** One-time codes by phone: six digits, single use, few tries, a pause between codes that grows. */
import { randomInt } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { TooManyRequests } from "../../kernel/limits/gcra.ts"
import { principalOfPhone, sealPhone } from "../../kernel/personal/people.ts"
import { isKnownTo } from "./devices.ts"
import { Registered } from "./events.ts"
import { codeLimits, type CodePurpose, codeRefused } from "./model.ts"
import { newSalt, sameHash, slowHash } from "./slowHash.ts"

/** What stands for a phone where only the same one must be found again. */
export const phoneHash = (tenantId: string, phone: string) =>
  Effect.map(Keys, (keys) => Buffer.from(keys.mac("phone", `${tenantId} ${phone}`)).toString("base64url"))

/**
 * Where the codes of a phone are counted. A device that its owner has used before has a place of its own, so that a stranger who asks for
 * codes and tries them locks nobody out of their own telephone.
 */
const placeOf = Effect.fnUntraced(function* (tenantId: string, phone: string, device: string | undefined) {
  const known = device !== undefined && (yield* withTenant(tenantId)(isKnownTo(phone, device)))
  return yield* phoneHash(tenantId, known ? `${phone} ${device}` : phone)
})

const codeHash = (tenantId: string, phone: string, code: string, purpose: CodePurpose, salt: string) =>
  slowHash("sign-in-code", `${tenantId} ${phone} ${code}${purpose === "sign-in" ? "" : ` ${purpose}`}`, salt)

/**
 * Makes the phone's next code, or says how long to wait. Known and unknown numbers are treated alike. Opens its own transaction: hashing
 * takes long, and no connection waits for it.
 */
export const makeCode = Effect.fn("identity.makeCode")(function* (
  tenantId: string,
  phone: string,
  device?: string,
  purpose: CodePurpose = "sign-in"
) {
  const code = String(randomInt(0, 1_000_000)).padStart(6, "0")
  const salt = newSalt()
  const hash = yield* codeHash(tenantId, phone, code, purpose, salt)
  const whose = yield* placeOf(tenantId, phone, device)
  const now = yield* Clock.currentTimeMillis
  const expiresAt = now + codeLimits.life * 1000
  const store = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    const rows = yield* sql<{ sends: number; sent_at: Date }>`
      select sends, sent_at from mahalla.sign_in_code where tenant_id = ${tenantId} and phone_hash = ${whose} for update`
    const last = rows[0]
    // A day of silence forgives earlier codes.
    const sends = last === undefined || now - last.sent_at.getTime() > 86_400_000 ? 0 : last.sends
    const pause = Math.min(codeLimits.pause * 2 ** Math.max(0, sends - 1), 3_600)
    const left = last === undefined || sends === 0 ? 0 : (last.sent_at.getTime() - now) / 1000 + pause
    // A code that seems to come from later was sent by a clock that has been set back since; nobody waits for that time to come.
    const wait = left > 2 * pause ? 0 : Math.ceil(left)
    if (wait > 0)
      return yield* new TooManyRequests({
        message: `A code was sent a moment ago. Ask for another in ${wait} seconds.`,
        retryAfter: wait
      })
    yield* sql`
      insert into mahalla.sign_in_code (tenant_id, phone_hash, code_hash, salt, tries, sends, sent_at, expires_at)
      values (${tenantId}, ${whose}, ${hash}, ${salt}, 0, ${sends + 1}, ${new Date(now)}, ${new Date(expiresAt)})
      on conflict (tenant_id, phone_hash) do update
        set code_hash = excluded.code_hash, salt = excluded.salt, tries = 0, sends = excluded.sends, sent_at = excluded.sent_at,
            expires_at = excluded.expires_at`
  })
  yield* withTenant(tenantId)(store)
  return { code, expiresAt }
})

/**
 * Counts a try against the phone's code and says whether it was right and asked for this purpose; a right one uses the code up. The count is committed before the
 * code is looked at, so that a hundred at once get five looks. Where there is no code, as much work is done as where there is one.
 */
export const tryCode = Effect.fn("identity.tryCode")(function* (
  tenantId: string,
  phone: string,
  code: string,
  device?: string,
  purpose: CodePurpose = "sign-in"
) {
  // A code that was asked for without naming the device is among everybody's.
  const places = [yield* placeOf(tenantId, phone, device), yield* phoneHash(tenantId, phone)]
  const now = new Date(yield* Clock.currentTimeMillis)
  // A row without a salt is of an earlier version, whose codes have run out.
  const [row] = yield* withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ phone_hash: string; code_hash: string; salt: string }>`
        update mahalla.sign_in_code set tries = tries + 1
        where tenant_id = ${tenantId} and tries < ${codeLimits.tries} and expires_at > ${now} and salt is not null
          and phone_hash = (
            select phone_hash from mahalla.sign_in_code
            where tenant_id = ${tenantId} and phone_hash = any (${places}::text[]) and expires_at > ${now} and salt is not null
            order by phone_hash = ${places[0]} desc limit 1)
        returning phone_hash, code_hash, salt`
    )
  )
  const hash = yield* codeHash(tenantId, phone, code, purpose, row?.salt ?? newSalt())
  if (row === undefined || !sameHash(row.code_hash, hash)) return false
  // Single use: of several requests with the same right code one deletes the row, the others find none.
  const used = yield* withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql`
        delete from mahalla.sign_in_code where tenant_id = ${tenantId} and phone_hash = ${row.phone_hash} and code_hash = ${row.code_hash}
        returning phone_hash`
    )
  )
  return used.length === 1
})

/** The person of a phone that has just been proved; made at the first time. */
export const personOfPhone = Effect.fn("identity.personOfPhone")(function* (phone: string, language: string) {
  const { sql, tenantId } = yield* TenantTx
  const id = yield* newId
  let person = yield* principalOfPhone(phone)
  if (person === undefined) {
    const { phone_index, phone_sealed } = yield* sealPhone(id, phone)
    const made = yield* sql<{ id: string }>`
      insert into mahalla.principal (tenant_id, id, kind, phone_sealed, phone_index, language)
      values (${tenantId}, ${id}, 'person', ${phone_sealed}, ${phone_index}, ${language})
      on conflict (tenant_id, phone_index) do nothing returning id`
    if (made.length > 0) yield* appendEvent(Registered, { principalId: id, phone }, { actorId: id })
    // Of two at once the second finds what the first has made.
    person = (yield* principalOfPhone(phone))!
  }
  if (person.status !== "active") return yield* codeRefused
  return person.id
})
