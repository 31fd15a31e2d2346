/** Second factors: setting up, showing, taking away; and what that means for the sessions of whoever has one. */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { SecondFactorRequired } from "../../kernel/http/secondFactor.ts"
import { takeFrom } from "../../kernel/limits/gcra.ts"
import { FactorAdded, FactorPassed, FactorRefused, FactorRemoved } from "./events.ts"
import { factorLimits, SignInRefused } from "./model.ts"
import { tellPerson } from "./notices.ts"
import { keepRecoveryCodes, newRecoveryCodes, recoveryHash, recoverySalt, takeRecoveryCode } from "./recoveryCodes.ts"
import { passSecondFactor } from "./sessions.ts"
import { takeTotp } from "./totp.ts"

/** Too long ago for what would change who can sign in. */
export class ProofTooOld extends Data.TaggedError("ProofTooOld")<{ readonly message: string }> {}

export interface Self {
  readonly principalId: string
  readonly sessionId: string
}

export const readFactors = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ totp: Date | null; codes: number; passkeys: number }>`
    select (select confirmed_at from mahalla.totp where tenant_id = ${tenantId} and principal_id = ${principalId}) as totp,
           (select count(*)::int from mahalla.recovery_code
             where tenant_id = ${tenantId} and principal_id = ${principalId} and used_at is null) as codes,
           (select count(*)::int from mahalla.passkey where tenant_id = ${tenantId} and principal_id = ${principalId}) as passkeys`
  return row!
})

/**
 * Whoever changes how one signs in must have shown a moment ago who they are: with their second factor, where they have one. Waits for
 * whoever is changing it at the same time.
 */
export const demandProof = Effect.fnUntraced(function* ({ principalId, sessionId }: Self) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  yield* sql`select from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId} for update`
  const [session] = yield* sql<{ second_factor: string; proved_at: Date }>`
    select second_factor, proved_at from mahalla.session
    where tenant_id = ${tenantId} and id = ${sessionId} and principal_id = ${principalId} and ended_at is null for update`
  const { passkeys, totp } = yield* readFactors(principalId)
  const has = totp !== null || passkeys > 0
  if (session === undefined || session.second_factor === "pending" || (has && session.second_factor !== "passed"))
    return yield* new SecondFactorRequired({ step: "verify" })
  if (session.proved_at.getTime() < now - factorLimits.proofLife * 1000)
    return yield* new ProofTooOld({
      message: has
        ? "Show your second factor again to do this: POST /v1/auth/second-factor."
        : "Sign in again to do this: it is too long ago that you did."
    })
})

/** After a way to sign in was taken away: another one must be left. Whoever takes another one away at once waits in `demandProof`. */
export const demandWayIn = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [left] = yield* sql<{ way: boolean }>`
    select p.phone is not null or p.phone_sealed is not null or p.external_id is not null
        or exists (select from mahalla.passkey where tenant_id = ${tenantId} and principal_id = p.id)
        or exists (select from mahalla.openid_link l join mahalla.openid_provider o on o.tenant_id = l.tenant_id and o.id = l.provider_id
                   where l.tenant_id = ${tenantId} and l.principal_id = p.id and o.active) as way
    from mahalla.principal p where p.tenant_id = ${tenantId} and p.id = ${principalId}`
  if (left?.way !== true)
    return yield* new Refused({
      code: "last-way-in",
      message: "You would have no way to sign in left. Set up a passkey, or link another identity, first."
    })
})

/** After a factor was added in a session: it counts as shown there, and all others must show it. */
export const factorAdded = Effect.fnUntraced(function* (self: Self, factor: "totp" | "passkey") {
  const { sql, tenantId } = yield* TenantTx
  const { principalId, sessionId } = self
  yield* sql`
    update mahalla.session set second_factor = 'pending'
    where tenant_id = ${tenantId} and principal_id = ${principalId} and id <> ${sessionId} and second_factor = 'none' and ended_at is null`
  yield* passSecondFactor(principalId, sessionId)
  yield* appendEvent(FactorAdded, { principalId, factor }, { actorId: principalId })
  yield* tellPerson(principalId, "factor-added")
})

/** After a factor was taken away: without any, there is nothing to show. */
export const factorRemoved = Effect.fnUntraced(function* (
  principalId: string,
  factor: "totp" | "passkey",
  actorId: string | null
) {
  const { sql, tenantId } = yield* TenantTx
  const { passkeys, totp } = yield* readFactors(principalId)
  if (totp === null && passkeys === 0) {
    yield* sql`delete from mahalla.recovery_code where tenant_id = ${tenantId} and principal_id = ${principalId}`
    yield* sql`
      update mahalla.session set second_factor = 'none'
      where tenant_id = ${tenantId} and principal_id = ${principalId} and ended_at is null`
  }
  yield* appendEvent(FactorRemoved, { principalId, factor }, { actorId })
  yield* tellPerson(principalId, "factor-removed")
})

const takeTry = (tenantId: string, principalId: string) =>
  takeFrom(tenantId, {
    key: `factor:${principalId}`,
    amount: factorLimits.tries,
    window: factorLimits.window,
    message: "Too many tries with a second factor. Wait a few minutes."
  })

const wrong = new SignInRefused({ message: "The code is wrong or was used before. Wait for the next one." })

/** Whose factor it is, and in which session; there is none yet on pages that lead to an app. */
type Shower = Pick<Self, "principalId"> & Partial<Self>

const refuse = (tenantId: string, self: Shower, factor: "totp" | "recovery-codes") =>
  withTenant(tenantId)(appendEvent(FactorRefused, { ...self, factor }, { actorId: self.principalId })).pipe(
    Effect.andThen(Effect.fail(wrong))
  )

/** The first code of an app that is being set up: from now on it counts. Gives the recovery codes, once. */
export const confirmTotp = Effect.fn("identity.confirmTotp")(function* (tenantId: string, self: Self, code: string) {
  yield* takeTry(tenantId, self.principalId)
  const set = yield* newRecoveryCodes(tenantId, self.principalId)
  const right = yield* withTenant(tenantId)(
    Effect.gen(function* () {
      yield* demandProof(self)
      if (!(yield* takeTotp(self.principalId, code, false))) return false
      yield* keepRecoveryCodes(self.principalId, set)
      yield* factorAdded(self, "totp")
      return true
    })
  )
  return right ? set.codes : yield* refuse(tenantId, self, "totp")
})

/** Takes a code of the app, or a recovery code; `taken` is in the transaction that uses it up. */
const takeFactor = Effect.fn("identity.takeFactor")(function* <E, R>(
  tenantId: string,
  self: Shower,
  code: string,
  taken: Effect.Effect<void, E, R>
) {
  const { principalId } = self
  const inside = withTenant(tenantId)
  yield* takeTry(tenantId, principalId)
  const factor = /^\d{6}$/.test(code) ? "totp" : "recovery-codes"
  const salt = factor === "totp" ? undefined : yield* inside(recoverySalt(principalId))
  const hash = salt === undefined ? undefined : yield* recoveryHash(tenantId, principalId, code, salt)
  const right = yield* inside(
    Effect.gen(function* () {
      const good =
        factor === "totp"
          ? yield* takeTotp(principalId, code, true)
          : hash !== undefined && (yield* takeRecoveryCode(principalId, hash))
      if (!good) return false
      yield* taken
      yield* appendEvent(FactorPassed, { ...self, factor }, { actorId: principalId })
      return true
    })
  )
  if (!right) yield* refuse(tenantId, self, factor)
})

/** Takes a code of the app, or a recovery code, for a session. */
export const showFactor = (tenantId: string, self: Self, code: string) =>
  takeFactor(tenantId, self, code, passSecondFactor(self.principalId, self.sessionId))

/** The same of somebody who has shown a code of their phone and gets no session of ours. */
export const proveFactor = (tenantId: string, principalId: string, code: string) =>
  takeFactor(tenantId, { principalId }, code, Effect.void)

/** Takes the app away. */
export const removeTotp = Effect.fn("identity.removeTotp")(function* (self: Self) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandProof(self)
  const gone = yield* sql`
    delete from mahalla.totp where tenant_id = ${tenantId} and principal_id = ${self.principalId} and confirmed_at is not null
    returning principal_id`
  if (gone.length === 0)
    return yield* new Refused({ code: "no-factor", message: "There is no authenticator app to take away." })
  yield* factorRemoved(self.principalId, "totp", self.principalId)
})

/** Ten new recovery codes in the place of the old ones. */
export const renewRecoveryCodes = Effect.fn("identity.renewRecoveryCodes")(function* (tenantId: string, self: Self) {
  yield* takeTry(tenantId, self.principalId)
  const set = yield* newRecoveryCodes(tenantId, self.principalId)
  yield* withTenant(tenantId)(
    Effect.gen(function* () {
      yield* demandProof(self)
      const { passkeys, totp } = yield* readFactors(self.principalId)
      if (totp === null && passkeys === 0)
        return yield* new Refused({ code: "no-factor", message: "Set up a second factor first." })
      yield* keepRecoveryCodes(self.principalId, set)
      yield* appendEvent(
        FactorAdded,
        { principalId: self.principalId, factor: "recovery-codes" },
        { actorId: self.principalId }
      )
    })
  )
  return set.codes
})

/** For whoever has lost everything: takes all factors away and ends all sessions, so that the next sign-in sets them up anew. */
export const resetFactors = Effect.fn("identity.resetFactors")(function* (principalId: string, actorId: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const apps = yield* sql`
    delete from mahalla.totp where tenant_id = ${tenantId} and principal_id = ${principalId} returning principal_id`
  const passkeys = yield* sql`
    delete from mahalla.passkey where tenant_id = ${tenantId} and principal_id = ${principalId} returning id`
  yield* sql`
    update mahalla.session set ended_at = ${new Date(yield* Clock.currentTimeMillis)}, ended_because = 'revoked'
    where tenant_id = ${tenantId} and principal_id = ${principalId} and ended_at is null`
  if (apps.length > 0) yield* factorRemoved(principalId, "totp", actorId)
  if (passkeys.length > 0) yield* factorRemoved(principalId, "passkey", actorId)
})
