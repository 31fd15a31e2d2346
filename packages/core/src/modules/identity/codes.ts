/** One-time codes by phone: six digits, single use, few tries, a pause between codes that grows. */
import { randomInt, timingSafeEqual } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { TooManyRequests } from "../../kernel/limits/gcra.ts"
import { principalOfPhone, sealPhone } from "../../kernel/personal/people.ts"
import { codeLimits, Registered, SignedIn, SignInRefused } from "./model.ts"

const refused = new SignInRefused({ message: "The code is wrong or too old. Ask for a new one." })

const hashes = Effect.fnUntraced(function* (tenantId: string, phone: string, code: string) {
  const keys = yield* Keys
  const hash = (purpose: string, text: string) => Buffer.from(keys.mac(purpose, text)).toString("base64url")
  return { phone: hash("phone", `${tenantId} ${phone}`), code: hash("sign-in-code", `${tenantId} ${phone} ${code}`) }
})

/** Makes the phone's next code, or says how long to wait. Known and unknown numbers are treated alike. */
export const makeCode = Effect.fn("identity.makeCode")(function* (phone: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const code = String(randomInt(0, 1_000_000)).padStart(6, "0")
  const hash = yield* hashes(tenantId, phone, code)
  const rows = yield* sql<{ sends: number; sent_at: Date }>`
    select sends, sent_at from mahalla.sign_in_code where tenant_id = ${tenantId} and phone_hash = ${hash.phone} for update`
  const last = rows[0]
  // A day of silence forgives earlier codes.
  const sends = last === undefined || now - last.sent_at.getTime() > 86_400_000 ? 0 : last.sends
  const pause = Math.min(codeLimits.pause * 2 ** Math.max(0, sends - 1), 3_600)
  const wait = last === undefined || sends === 0 ? 0 : Math.ceil((last.sent_at.getTime() + pause * 1000 - now) / 1000)
  if (wait > 0)
    return yield* new TooManyRequests({
      message: `A code was sent a moment ago. Ask for another in ${wait} seconds.`,
      retryAfter: wait
    })
  yield* sql`
    insert into mahalla.sign_in_code (tenant_id, phone_hash, code_hash, tries, sends, sent_at, expires_at)
    values (${tenantId}, ${hash.phone}, ${hash.code}, 0, ${sends + 1}, ${new Date(now)}, ${new Date(now + codeLimits.life * 1000)})
    on conflict (tenant_id, phone_hash) do update
      set code_hash = excluded.code_hash, tries = 0, sends = excluded.sends, sent_at = excluded.sent_at, expires_at = excluded.expires_at`
  return { code, expiresAt: now + codeLimits.life * 1000 }
})

const sameText = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))

/**
 * Counts a try against the phone's code and says whether it was right. The count must outlive a refusal, so run it in a transaction of
 * its own and refuse afterwards.
 */
export const tryCode = Effect.fnUntraced(function* (phone: string, code: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const hash = yield* hashes(tenantId, phone, code)
  const rows = yield* sql<{ code_hash: string; tries: number; expires_at: Date }>`
    update mahalla.sign_in_code set tries = tries + 1 where tenant_id = ${tenantId} and phone_hash = ${hash.phone}
    returning code_hash, tries, expires_at`
  const row = rows[0]
  const right = sameText(row?.code_hash ?? hash.phone, hash.code)
  if (row === undefined || !right || row.tries > codeLimits.tries || row.expires_at.getTime() <= now) return false
  // Single use: of two requests with the same right code one deletes the row, the other finds none.
  yield* sql`delete from mahalla.sign_in_code where tenant_id = ${tenantId} and phone_hash = ${hash.phone}`
  return true
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
  if (person.status !== "active") return yield* refused
  yield* appendEvent(SignedIn, { principalId: person.id, by: "code" }, { actorId: person.id })
  return person.id
})

export { refused as codeRefused }
