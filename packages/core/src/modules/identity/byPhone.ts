/** Signing in by phone in two steps, for our own doors and for other modules' pages: whoever uses these has the same limits. */
import * as Effect from "effect/Effect"
import { withTenant } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { takeByAddress } from "../../kernel/limits/address.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"
import { codeUsed, guardCode, signInFailed } from "../security/index.ts"
import { makeCode, personOfPhone, phoneHash, tryCode } from "./codes.ts"
import { isKnownTo } from "./devices.ts"
import { readFactors } from "./factors.ts"
import { type CodePurpose, codeRefused, SignInRefused } from "./model.ts"
import { personalChannel } from "./notices.ts"
import { writeRefusal } from "./signIn.ts"
import { codeText } from "./texts.ts"

const language = (wanted: string | undefined, spoken: ReadonlyArray<string>) =>
  spoken.find((one) => one === wanted) ??
  spoken.find((one) => one.split("-")[0] === wanted?.split("-")[0]) ??
  spoken[0] ??
  "en"

export interface ByPhone {
  readonly tenant: Tenant
  /** The client's address. */
  readonly ip: string
  /** E.164: see `Phone`. */
  readonly phone: string
  /** BCP 47, as the person asked for it. */
  readonly language: string | undefined
  /** What an earlier sign-in on this device has answered. */
  readonly device?: string
  /** `sign-in` where nothing is said. */
  readonly purpose?: CodePurpose
}

/** Sends the phone's next code. `TooManyRequests` says how long to wait. */
export const sendCodeTo = Effect.fn("identity.sendCodeTo")(function* (given: ByPhone) {
  const { device, phone, purpose, tenant } = given
  const { tenantId } = tenant
  const known = device !== undefined && (yield* withTenant(tenantId)(isKnownTo(phone, device)))
  const { code, expiresAt } = yield* guardCode({ ...given, known })(makeCode(tenantId, phone, device, purpose))
  const messenger = yield* personalChannel
  if (messenger === undefined)
    return yield* Effect.die(new Error("No messenger can carry codes. Add an SMS plugin or outboxMessenger()."))
  const spoken = language(given.language, tenant.settings.languages)
  yield* messenger.send({
    id: yield* newId,
    tenantId,
    to: phone,
    text: codeText(code, tenant.name, spoken, purpose),
    language: spoken,
    class: "code",
    expiresAt
  })
})

/** What follows a right code, in the transaction that finds or makes its person; `SignInRefused` for a wrong one. */
export const enterByCode = Effect.fn("identity.enterByCode")(function* <A, E, R>(
  given: ByPhone & { readonly code: string },
  enter: (principalId: string) => Effect.Effect<A, E, R>
) {
  const { code, device, ip, phone, purpose, tenant } = given
  const { tenantId } = tenant
  yield* takeByAddress(tenantId, ip, {
    what: "try",
    amount: 60,
    window: 600,
    message: "Too many tries from here. Wait a few minutes."
  })
  const refuse = Effect.flatMap(phoneHash(tenantId, phone), (subject) => writeRefusal(tenantId, "code", subject))
  if (!(yield* tryCode(tenantId, phone, code, device, purpose))) {
    yield* refuse
    yield* signInFailed(given)
    return yield* codeRefused
  }
  yield* codeUsed(given)
  const person = personOfPhone(phone, language(given.language, tenant.settings.languages))
  // Outside of the transaction that the refusal rolls back.
  return yield* withTenant(tenantId)(Effect.flatMap(person, enter)).pipe(
    Effect.tapError((error) => (error instanceof SignInRefused ? refuse : Effect.void))
  )
})

export interface Proved {
  readonly principalId: string
  /**
   * What a code of the phone alone is not enough for: a code of an authenticator app or a recovery code, or a recovery code only. `passkey`:
   * they can show nothing that can be typed.
   */
  readonly needs: "nothing" | "code" | "recovery-code" | "passkey"
}

/** The person whose phone the code proves, and what they must show besides with `proveFactor`. */
export const personByCode = (given: ByPhone & { readonly code: string }) =>
  enterByCode(given, (principalId) =>
    Effect.map(readFactors(principalId), ({ codes, passkeys, totp }): Proved => ({
      principalId,
      needs: totp !== null ? "code" : passkeys === 0 ? "nothing" : codes > 0 ? "recovery-code" : "passkey"
    }))
  )
