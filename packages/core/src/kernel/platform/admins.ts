/** The platform's own people: made on the machine, signed in by one-time links, with short tokens that open the platform's doors only. */
import { createHash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../cases/model.ts"
import { Database, PlatformTx } from "../db/Database.ts"
import { Unauthorized } from "../http/Authentication.ts"
import { isId, newId } from "../ids.ts"
import { Issuer, Keys } from "../keys/Keys.ts"
import { PlatformActor, type PlatformPerson, record } from "./operations.ts"

/** Seconds that a link, and a token, live. */
export const platformLife = 15 * 60

const hashOf = (token: string) => createHash("sha256").update(token).digest("base64url")

/** Whoever works on the machine itself: commands, and applications that hold the city. */
const onTheMachine = Effect.provideService(PlatformActor, { id: null, name: "on the machine" })

/** Makes a super-admin. Nobody may do this over the network. */
export const createPlatformAdmin = Effect.fn("createPlatformAdmin")(function* (name: string) {
  const { sql } = yield* PlatformTx
  const id = yield* newId
  yield* sql`
    insert into mahalla.platform_admin (id, name, created_at) values (${id}, ${name}, ${new Date(yield* Clock.currentTimeMillis)})`
  yield* onTheMachine(record("admin.created", { principalId: id }))
  return { id, name } satisfies PlatformPerson
})

export const listPlatformAdmins = Effect.gen(function* () {
  const { sql } = yield* PlatformTx
  return yield* sql<{ id: string; name: string }>`
    select id, name from mahalla.platform_admin where status = 'active' order by id`
})

/** A token good for one sign-in within 15 minutes; only its hash is kept. */
export const issuePlatformLink = Effect.fn("issuePlatformLink")(function* (adminId: string) {
  const { sql } = yield* PlatformTx
  const now = yield* Clock.currentTimeMillis
  const token = randomBytes(32).toString("base64url")
  yield* sql`delete from mahalla.platform_link where expires_at < ${new Date(now)}`
  const made = yield* sql`
    insert into mahalla.platform_link (token_hash, admin_id, expires_at)
    select ${hashOf(token)}, id, ${new Date(now + platformLife * 1000)} from mahalla.platform_admin
    where id = ${adminId} and status = 'active' returning admin_id`
  return made.length === 0 ? yield* new NotFound({ what: "super-admin", id: adminId }) : token
})

const refused = new Unauthorized({
  message: "The platform's token is not valid. Sign in again: mahalla platform-link."
})

const binding = Effect.map(Issuer, (issuer) => ({ issuer, audience: `${issuer}/v1/platform`, typ: "platform+jwt" }))

/** Exchanges a link for a token of the platform; the link is used up. */
export const usePlatformLink = Effect.fn("usePlatformLink")(function* (token: string) {
  const { sql } = yield* PlatformTx
  const [row] = yield* sql<{ id: string; name: string }>`
    delete from mahalla.platform_link l using mahalla.platform_admin a
    where l.token_hash = ${hashOf(token)} and l.expires_at > ${new Date(yield* Clock.currentTimeMillis)}
      and a.id = l.admin_id and a.status = 'active'
    returning a.id, a.name`
  if (row === undefined) return yield* refused
  yield* Effect.provideService(record("admin.signed-in"), PlatformActor, row)
  const { audience, issuer, typ } = yield* binding
  const accessToken = yield* (yield* Keys).sign(
    "platform-token",
    { iss: issuer, aud: audience, sub: row.id },
    { typ, expiresIn: `${platformLife} seconds` }
  )
  return { accessToken, tokenType: "Bearer" as const, expiresIn: platformLife }
})

/** Whose token it is, as of now. */
export const platformPersonOf = Effect.fnUntraced(function* (token: string) {
  const { platform } = yield* Database
  const claims = yield* Effect.mapError((yield* Keys).verify("platform-token", token, yield* binding), () => refused)
  if (!isId(claims.sub)) return yield* refused
  const [row] = yield* platform<PlatformPerson>`
    select id, name from mahalla.platform_admin where id = ${claims.sub} and status = 'active'`
  return row ?? (yield* refused)
})
