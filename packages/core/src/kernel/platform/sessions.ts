/** Sign-ins of the platform's own people: short, with a second factor, asked for with every request. */
import { createHash, randomBytes } from "node:crypto"
import { Secret } from "otpauth"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { Refused } from "../cases/model.ts"
import { Database, PlatformTx, withPlatform } from "../db/Database.ts"
import { Unauthorized } from "../http/Authentication.ts"
import { SecondFactorRequired, type SecondFactorStep, StaffNeedsSecondFactor } from "../http/secondFactor.ts"
import { isId, newId } from "../ids.ts"
import { Issuer, Keys } from "../keys/Keys.ts"
import { totpStep, totpUri } from "../totp.ts"
import { PlatformActor, type PlatformPerson, record } from "./operations.ts"

/** Seconds that a link, and a sign-in, live. */
export const platformLife = 15 * 60
/** Codes that may be tried in one sign-in. Each sign-in needs a link, and links are made on the machine. */
const tries = 5

export const hashOfLink = (token: string) => createHash("sha256").update(token).digest("base64url")

const refused = new Unauthorized({
  message: "The platform's token is not valid. Sign in again: mahalla platform-link."
})

/** The code of a second factor was wrong. */
export class PlatformCodeRefused extends Data.TaggedError("PlatformCodeRefused")<{ readonly message: string }> {}

const codeRefused = new PlatformCodeRefused({
  message: "The code is wrong or was used before. Wait for the next one; after five a new link is needed."
})

const binding = Effect.map(Issuer, (issuer) => ({ issuer, audience: `${issuer}/v1/platform`, typ: "platform+jwt" }))

/** Whoever has signed in, and whether they have shown their second factor. */
export interface SignedIn extends PlatformPerson {
  readonly id: string
  readonly sessionId: string
  readonly state: "none" | "pending" | "passed"
}

/** What a sign-in still needs; undefined when it may act. In `dev` nobody needs a factor whom they have not set up. */
const missing = (state: SignedIn["state"]) =>
  Effect.map(StaffNeedsSecondFactor, (demanded): SecondFactorStep | undefined =>
    state === "pending" ? "verify" : state === "none" && demanded ? "enrol" : undefined
  )

/** Exchanges a link for a token of the platform; the link is used up. */
export const usePlatformLink = Effect.fn("usePlatformLink")(function* (token: string) {
  const { sql } = yield* PlatformTx
  const now = yield* Clock.currentTimeMillis
  const [row] = yield* sql<{ id: string; name: string; has: boolean }>`
    delete from mahalla.platform_link l using mahalla.platform_admin a
    where l.token_hash = ${hashOfLink(token)} and l.expires_at > ${new Date(now)} and a.id = l.admin_id and a.status = 'active'
    returning a.id, a.name, a.totp_confirmed_at is not null as has`
  if (row === undefined) return yield* refused
  const sessionId = yield* newId
  const state = row.has ? "pending" : "none"
  yield* sql`delete from mahalla.platform_session where expires_at < ${new Date(now - 86_400_000)}`
  yield* sql`
    insert into mahalla.platform_session (id, admin_id, second_factor, created_at, expires_at)
    values (${sessionId}, ${row.id}, ${state}, ${new Date(now)}, ${new Date(now + platformLife * 1000)})`
  yield* Effect.provideService(record("admin.signed-in"), PlatformActor, { id: row.id, name: row.name })
  const { audience, issuer, typ } = yield* binding
  const accessToken = yield* (yield* Keys).sign(
    "platform-token",
    { iss: issuer, aud: audience, sub: row.id, sid: sessionId },
    { typ, expiresIn: `${platformLife} seconds` }
  )
  return {
    accessToken,
    tokenType: "Bearer" as const,
    expiresIn: platformLife,
    secondFactor: (yield* missing(state)) ?? ("none" as const)
  }
})

/** Whose token it is, as of now, whatever they have shown. */
export const platformSessionOf = Effect.fnUntraced(function* (token: string) {
  const { platform } = yield* Database
  const { sid, sub } = yield* Effect.mapError(
    (yield* Keys).verify("platform-token", token, yield* binding),
    () => refused
  )
  if (!isId(sub) || !isId(sid)) return yield* refused
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* platform<SignedIn>`
    select a.id, a.name, s.id as "sessionId", s.second_factor as state from mahalla.platform_session s
    join mahalla.platform_admin a on a.id = s.admin_id and a.status = 'active'
    where s.id = ${sid} and s.admin_id = ${sub} and s.ended_at is null and s.expires_at > ${now}`
  return row ?? (yield* refused)
})

/** Whose token it is, when they have shown what they must. */
export const platformPersonOf = Effect.fnUntraced(function* (token: string) {
  const { state, ...person } = yield* platformSessionOf(token)
  const step = yield* missing(state)
  if (step !== undefined) return yield* new SecondFactorRequired({ step, of: "platform" })
  return person satisfies PlatformPerson
})

/**
 * The person and the sign-in are in force still, and stay so until the commit: whoever takes them away waits for this transaction, and then
 * finds what it has done.
 */
export const demandInForce = Effect.gen(function* () {
  const { sql } = yield* PlatformTx
  const { id, sessionId } = yield* PlatformActor
  if (id === null) return
  const rows = yield* sql`
    select from mahalla.platform_admin a join mahalla.platform_session s on s.admin_id = a.id
    where a.id = ${id} and a.status = 'active' and s.id = ${sessionId ?? null} and s.ended_at is null for share`
  if (rows.length === 0) return yield* refused
})

/** Base 32, 160 bits (RFC 4226, section 4, R6). Whoever has the database alone cannot make it. */
const secretOf = (adminId: string, salt: string) =>
  Effect.map(
    Keys,
    (keys) =>
      new Secret({ buffer: Uint8Array.from(keys.mac("platform-totp", `${adminId} ${salt}`)).slice(0, 20).buffer })
        .base32
  )

/** Begins to set an authenticator app up; it counts once a code of it was shown. Another takes its place only on the machine. */
export const beginPlatformTotp = Effect.fn("beginPlatformTotp")(function* (person: SignedIn) {
  const { sql } = yield* PlatformTx
  const salt = randomBytes(16).toString("base64url")
  const made = yield* sql`
    update mahalla.platform_admin set totp_salt = ${salt} where id = ${person.id} and totp_confirmed_at is null returning id`
  if (made.length === 0)
    return yield* new Refused({
      code: "factor-exists",
      message: "An authenticator app is set up already. Another one: mahalla platform-link --reset-second-factor."
    })
  const secret = yield* secretOf(person.id, salt)
  return { secret, uri: totpUri(secret, yield* Issuer, person.name) }
})

/** A try is counted and committed before the code is looked at, so that many at once get no more looks. */
const takeTry = (person: SignedIn) =>
  withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const left = yield* sql`
        update mahalla.platform_session set tries = tries + 1 where id = ${person.sessionId} and ended_at is null and tries < ${tries} returning id`
      if (left.length === 0) return yield* refused
    })
  )

/** Takes a code, each once: of the app in use, or (`confirmed` false) of one that is being set up and counts from now on. */
export const showPlatformTotp = Effect.fn("showPlatformTotp")(function* (
  person: SignedIn,
  code: string,
  confirmed: boolean
) {
  yield* takeTry(person)
  const right = yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      const now = yield* Clock.currentTimeMillis
      const [row] = yield* sql<{ salt: string }>`
        select totp_salt as salt from mahalla.platform_admin
        where id = ${person.id} and totp_salt is not null and (totp_confirmed_at is not null) = ${confirmed} for update`
      const step = row === undefined ? undefined : totpStep(yield* secretOf(person.id, row.salt), code, now)
      const taken =
        step === undefined
          ? []
          : yield* sql`
              update mahalla.platform_admin set totp_last_step = ${step}, totp_confirmed_at = coalesce(totp_confirmed_at, ${new Date(now)})
              where id = ${person.id} and totp_last_step < ${step} returning id`
      const said = Effect.provideService(PlatformActor, person)
      if (taken.length === 0) {
        yield* said(record("admin.factor-refused"))
        return false
      }
      yield* sql`update mahalla.platform_session set second_factor = 'passed' where id = ${person.sessionId} and ended_at is null`
      // Whoever signed in elsewhere before there was one must show it too.
      if (!confirmed)
        yield* sql`
          update mahalla.platform_session set second_factor = 'pending' where admin_id = ${person.id} and id <> ${person.sessionId} and second_factor = 'none'`
      yield* said(record(confirmed ? "admin.factor-passed" : "admin.factor-added"))
      return true
    })
  )
  return right ? { secondFactor: "passed" as const } : yield* codeRefused
})
