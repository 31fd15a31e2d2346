/** What the handlers of this module ask of every request: limits by address, who is signed in, what a session is answered as. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { RequestInfo } from "../../kernel/http/Door.ts"
import { missingStep, StaffNeedsSecondFactor } from "../../kernel/http/secondFactor.ts"
import { takeByAddress } from "../../kernel/limits/address.ts"
import { nameOf, type NameRow, phoneOf, type PhoneRow } from "../../kernel/personal/people.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { Tokens } from "./sessions.ts"
import type { Visit } from "./signIn.ts"

/** Takes one from what an address may try in ten minutes. */
export const limitByAddress = Effect.fnUntraced(function* (what: "link" | "passkey" | "openid", amount: number) {
  const { ip, tenant } = yield* RequestInfo
  yield* takeByAddress(tenant.tenantId, ip, {
    what,
    amount,
    window: 600,
    message: "Too many tries from here. Wait a few minutes."
  })
})

export const visitOf = Effect.fnUntraced(function* (device: string | undefined) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const visit: Visit = { device, userAgent: request.headers["user-agent"] }
  return visit
})

/** Whoever is signed in by a session of ours; not visitors, keys, or a host application's people. */
export const signedIn = Effect.gen(function* () {
  const actor = yield* Actor
  const { id, sessionId } = actor
  if (id === null || sessionId === undefined)
    return yield* new Unauthorized({ message: "Sign in with an access token of a session to do this." })
  return { tenantId: actor.tenantId, principalId: id, sessionId }
})

/** As the API answers it. */
export const sessionAnswer = Effect.fnUntraced(function* ({ staff, ...tokens }: Tokens) {
  const { tenant } = yield* RequestInfo
  const step = missingStep(tokens.secondFactor, staff, tenant.settings, yield* StaffNeedsSecondFactor)
  const passed = tokens.secondFactor === "passed" ? ("passed" as const) : ("none" as const)
  return { ...tokens, tokenType: "Bearer" as const, secondFactor: step ?? passed }
})

/** What an authenticator shows beside what it keeps. */
export const labelOf = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<NameRow & PhoneRow>`
    select id, name, name_sealed, phone, phone_sealed from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId}`
  const phone = row === undefined ? null : yield* phoneOf(row)
  const name = row === undefined ? null : yield* nameOf(row)
  return name ?? (phone === null ? principalId.slice(-8) : `…${phone.slice(-2)}`)
})
