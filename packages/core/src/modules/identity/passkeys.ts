/**
 * Passkeys (WebAuthn level 2): the strongest way to sign in, for nobody can be talked out of one. The person is always verified by the
 * authenticator, so that one passkey is two factors.
 */
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON
} from "@simplewebauthn/server"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { demandProof, demandWayIn, factorAdded, factorRemoved, type Self } from "./factors.ts"
import { SignInRefused } from "./model.ts"
import { beginSession, type Visit } from "./signIn.ts"

/** For whom the authenticator signs. */
export interface RelyingParty {
  /** Host name. */
  readonly id: string
  readonly name: string
  /** Origins of the pages that may ask. */
  readonly origins: ReadonlyArray<string>
}

/** Seconds in which an authenticator must have answered. */
const challengeLife = 300
const mostPasskeys = 20

// Loaded with the first passkey, so that the start does not wait for it.
const library = Effect.promise(() => import("@simplewebauthn/server"))

const refused = new SignInRefused({ message: "The passkey was not accepted. Try again, or sign in another way." })

const keepChallenge = Effect.fnUntraced(function* (challenge: string, principalId: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const id = yield* newId
  const expires = new Date((yield* Clock.currentTimeMillis) + challengeLife * 1000)
  yield* sql`
    insert into mahalla.passkey_challenge (tenant_id, id, principal_id, challenge, expires_at)
    values (${tenantId}, ${id}, ${principalId}, ${challenge}, ${expires})`
  return id
})

/** Good once, whatever becomes of the answer: committed before it is looked at. */
const takeChallenge = Effect.fnUntraced(function* (tenantId: string, id: string, principalId: string | null) {
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ challenge: string }>`
        delete from mahalla.passkey_challenge
        where tenant_id = ${tenantId} and id = ${id} and principal_id is not distinct from ${principalId}::uuid and expires_at > ${now}
        returning challenge`
    )
  )
  return row === undefined ? yield* refused : row.challenge
})

/** What a browser is asked to make a passkey from. */
export const beginPasskey = Effect.fn("identity.beginPasskey")(function* (
  self: Self,
  party: RelyingParty,
  label: string
) {
  const { sql, tenantId } = yield* TenantTx
  const { generateRegistrationOptions } = yield* library
  yield* demandProof(self)
  const known = yield* sql<{ id: string; transports: Array<string> }>`
    select credential_id as id, transports from mahalla.passkey
    where tenant_id = ${tenantId} and principal_id = ${self.principalId}`
  const options: PublicKeyCredentialCreationOptionsJSON = yield* Effect.promise(() =>
    generateRegistrationOptions({
      rpID: party.id,
      rpName: party.name,
      userID: new TextEncoder().encode(self.principalId),
      userName: label,
      attestationType: "none",
      excludeCredentials: [...known],
      authenticatorSelection: { residentKey: "required", userVerification: "required" }
    })
  )
  return { challengeId: yield* keepChallenge(options.challenge, self.principalId), options }
})

/** Keeps the passkey that a browser has made. */
export const addPasskey = Effect.fn("identity.addPasskey")(function* (
  tenantId: string,
  self: Self,
  party: RelyingParty,
  given: { readonly challengeId: string; readonly response: unknown; readonly name: string }
) {
  const { verifyRegistrationResponse } = yield* library
  const challenge = yield* takeChallenge(tenantId, given.challengeId, self.principalId)
  const verified = yield* Effect.tryPromise({
    try: () =>
      verifyRegistrationResponse({
        response: given.response as RegistrationResponseJSON,
        expectedChallenge: challenge,
        expectedOrigin: [...party.origins],
        expectedRPID: party.id,
        requireUserVerification: true
      }),
    catch: () => refused
  })
  if (!verified.verified) return yield* refused
  const { credential } = verified.registrationInfo
  const keep = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    yield* demandProof(self)
    const owned = yield* sql`
      select from mahalla.passkey where tenant_id = ${tenantId} and principal_id = ${self.principalId}`
    if (owned.length >= mostPasskeys)
      return yield* new Refused({
        code: "too-many",
        message: `Nobody needs more than ${mostPasskeys} passkeys. Remove one first.`
      })
    const id = yield* newId
    const at = new Date(yield* Clock.currentTimeMillis)
    const made = yield* sql`
      insert into mahalla.passkey (tenant_id, id, principal_id, credential_id, public_key, counter, transports, name, created_at)
      values (${tenantId}, ${id}, ${self.principalId}, ${credential.id}, ${Buffer.from(credential.publicKey).toString("base64url")},
              ${credential.counter}, ${credential.transports ?? []}::text[], ${given.name}, ${at})
      on conflict (tenant_id, credential_id) do nothing returning id`
    if (made.length === 0)
      return yield* new Refused({ code: "factor-exists", message: "This passkey is registered already." })
    yield* factorAdded(self, "passkey")
    return { id, name: given.name, createdAt: at, lastUsedAt: null }
  })
  return yield* withTenant(tenantId)(keep)
})

/** What a browser is asked to sign by whoever has a passkey here; nobody is named. */
export const beginPasskeySignIn = Effect.fn("identity.beginPasskeySignIn")(function* (party: RelyingParty) {
  const { generateAuthenticationOptions } = yield* library
  const options: PublicKeyCredentialRequestOptionsJSON = yield* Effect.promise(() =>
    generateAuthenticationOptions({ rpID: party.id, userVerification: "required" })
  )
  return { challengeId: yield* keepChallenge(options.challenge, null), options }
})

interface PasskeyRow {
  readonly id: string
  readonly principal_id: string
  readonly public_key: string
  readonly counter: bigint
}

/** Begins a session for whoever holds the passkey. */
export const signInByPasskey = Effect.fn("identity.signInByPasskey")(function* (
  tenantId: string,
  party: RelyingParty,
  given: { readonly challengeId: string; readonly response: unknown },
  visit: Visit
) {
  const { verifyAuthenticationResponse } = yield* library
  const challenge = yield* takeChallenge(tenantId, given.challengeId, null)
  const response = given.response as AuthenticationResponseJSON
  if (typeof response.id !== "string" || response.id.length > 1_400 || response.id.includes("\u0000"))
    return yield* refused
  const [row] = yield* withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<PasskeyRow>`
        select k.id, k.principal_id, k.public_key, k.counter from mahalla.passkey k
        join mahalla.principal p on p.tenant_id = k.tenant_id and p.id = k.principal_id and p.status = 'active'
        where k.tenant_id = ${tenantId} and k.credential_id = ${response.id}`
    )
  )
  if (row === undefined) return yield* refused
  const { authenticationInfo, verified } = yield* Effect.tryPromise({
    try: () =>
      verifyAuthenticationResponse({
        response,
        expectedChallenge: challenge,
        expectedOrigin: [...party.origins],
        expectedRPID: party.id,
        requireUserVerification: true,
        // The counter is compared where it is written: two at once must not both pass.
        credential: { id: response.id, publicKey: Buffer.from(row.public_key, "base64url"), counter: 0 }
      }),
    catch: () => refused
  })
  const handle = response.response.userHandle
  const meant = handle === undefined ? row.principal_id : Buffer.from(handle, "base64url").toString()
  if (!verified || meant !== row.principal_id) return yield* refused
  const counter = authenticationInfo.newCounter
  const enter = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    // A counter that does not grow is a copied authenticator; those that keep none always say zero.
    const counted = yield* sql`
      update mahalla.passkey set counter = ${counter}, last_used_at = ${new Date(yield* Clock.currentTimeMillis)}
      where tenant_id = ${tenantId} and id = ${row.id} and (counter < ${counter} or (counter = 0 and ${counter} = 0))
      returning id`
    if (counted.length === 0) return yield* refused
    return yield* beginSession(row.principal_id, "passkey", visit)
  })
  return yield* withTenant(tenantId)(enter)
})

export const listPasskeys = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ id: string; name: string; createdAt: Date; lastUsedAt: Date | null }>`
    select id, name, created_at as "createdAt", last_used_at as "lastUsedAt" from mahalla.passkey
    where tenant_id = ${tenantId} and principal_id = ${principalId} order by id`
})

/** Never the last way in. */
export const removePasskey = Effect.fn("identity.removePasskey")(function* (self: Self, id: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandProof(self)
  const gone = yield* sql`
    delete from mahalla.passkey where tenant_id = ${tenantId} and principal_id = ${self.principalId} and id = ${id} returning id`
  if (gone.length === 0) return yield* new NotFound({ what: "passkey", id })
  yield* demandWayIn(self.principalId)
  yield* factorRemoved(self.principalId, "passkey", self.principalId)
})
