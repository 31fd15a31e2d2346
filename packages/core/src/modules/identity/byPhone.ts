/** Signing in by phone in two steps, for our own doors and for other modules' pages: whoever uses these has the same limits. */
import * as Effect from "effect/Effect"
import { withTenant } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { senderOf } from "../../kernel/limits/address.ts"
import { takeFrom } from "../../kernel/limits/gcra.ts"
import { Messengers } from "../../kernel/ports.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"
import { codeRefused, makeCode, personOfPhone, tryCode } from "./codes.ts"
import { codeText } from "./texts.ts"

/** A real channel when the city has one, else the outbox that operators read. */
const codeChannel = Effect.gen(function* () {
  const all = [...(yield* Messengers).values()]
  return all.find((messenger) => messenger.channel === "sms") ?? all.find((messenger) => messenger.channel === "outbox")
})

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
}

/** Sends the phone's next code. `TooManyRequests` says how long to wait. */
export const sendCodeTo = Effect.fn("identity.sendCodeTo")(function* ({ ip, phone, tenant, ...rest }: ByPhone) {
  const { tenantId } = tenant
  yield* takeFrom(tenantId, {
    key: `code:ip:${senderOf(ip)}`,
    amount: 20,
    window: 600,
    message: "Too many codes were asked for from here. Wait a few minutes."
  })
  const { code, expiresAt } = yield* withTenant(tenantId)(makeCode(phone))
  const messenger = yield* codeChannel
  if (messenger === undefined)
    return yield* Effect.die(new Error("No messenger can carry codes. Add an SMS plugin or outboxMessenger()."))
  const spoken = language(rest.language, tenant.settings.languages)
  yield* messenger.send({
    id: yield* newId,
    tenantId,
    to: phone,
    text: codeText(code, tenant.name, spoken),
    language: spoken,
    class: "code",
    expiresAt
  })
})

/** The person whose phone the code proves; `SignInRefused` for a wrong code. */
export const personByCode = Effect.fn("identity.personByCode")(function* (given: ByPhone & { readonly code: string }) {
  const { code, ip, phone, tenant } = given
  const { tenantId } = tenant
  yield* takeFrom(tenantId, {
    key: `try:ip:${senderOf(ip)}`,
    amount: 60,
    window: 600,
    message: "Too many tries from here. Wait a few minutes."
  })
  if (!(yield* withTenant(tenantId)(tryCode(phone, code)))) return yield* codeRefused
  return yield* withTenant(tenantId)(personOfPhone(phone, language(given.language, tenant.settings.languages)))
})
