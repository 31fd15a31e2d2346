/** The platform's own people: made on the machine, signed in by one-time links, shut out by each other or on the machine. */
import { randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../cases/model.ts"
import { PlatformTx } from "../db/Database.ts"
import { newId } from "../ids.ts"
import { endAccessesOf } from "./cities.ts"
import { PlatformActor, type PlatformPerson, record } from "./operations.ts"
import { hashOfLink, platformLife } from "./sessions.ts"

/** Whoever works on the machine itself: commands, and applications that hold the city. */
export const onTheMachine = Effect.provideService(PlatformActor, { id: null, name: "on the machine" })

/** Makes a super-admin. Nobody may do this over the network. */
export const createPlatformAdmin = Effect.fn("createPlatformAdmin")(function* (name: string) {
  const { sql } = yield* PlatformTx
  const id = yield* newId
  yield* sql`
    insert into mahalla.platform_admin (id, name, created_at) values (${id}, ${name}, ${new Date(yield* Clock.currentTimeMillis)})`
  yield* onTheMachine(record("admin.created", { principalId: id }))
  return { id, name } satisfies PlatformPerson
})

export interface PlatformAdmin {
  readonly id: string
  readonly name: string
  readonly status: "active" | "blocked"
  /** Whether they have set one up. */
  readonly secondFactor: boolean
  readonly createdAt: Date
}

const adminsOf = Effect.fnUntraced(function* (id: string | null) {
  const { sql } = yield* PlatformTx
  return yield* sql<PlatformAdmin>`
    select id, name, status, totp_confirmed_at is not null as "secondFactor", created_at as "createdAt" from mahalla.platform_admin
    where ${id}::uuid is null or id = ${id}::uuid order by id`
})

/** Everybody, blocked ones too; for whoever works on the machine. */
export const allPlatformAdmins = adminsOf(null)

export const listPlatformAdmins = Effect.andThen(record("admin.listed"), adminsOf(null))

/** A token good for one sign-in within 15 minutes; only its hash is kept. */
export const issuePlatformLink = Effect.fn("issuePlatformLink")(function* (adminId: string) {
  const { sql } = yield* PlatformTx
  const now = yield* Clock.currentTimeMillis
  const token = randomBytes(32).toString("base64url")
  yield* sql`delete from mahalla.platform_link where expires_at < ${new Date(now)}`
  const made = yield* sql`
    insert into mahalla.platform_link (token_hash, admin_id, expires_at)
    select ${hashOfLink(token)}, id, ${new Date(now + platformLife * 1000)} from mahalla.platform_admin
    where id = ${adminId} and status = 'active' returning admin_id`
  return made.length === 0 ? yield* new NotFound({ what: "super-admin", id: adminId }) : token
})

/** Everything by which they act at this moment: sign-ins, links that were not used, and accesses to cities. */
const takeAway = Effect.fnUntraced(function* (adminId: string) {
  const { sql } = yield* PlatformTx
  // Whoever is opening an access holds the row, and is waited for.
  const known = yield* sql`select from mahalla.platform_admin where id = ${adminId} for update`
  if (known.length === 0) return yield* new NotFound({ what: "super-admin", id: adminId })
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`update mahalla.platform_session set ended_at = ${now} where admin_id = ${adminId} and ended_at is null`
  yield* sql`delete from mahalla.platform_link where admin_id = ${adminId}`
  yield* endAccessesOf(adminId)
})

/** Ends all their sign-ins and accesses; they may sign in again. */
export const signOutAdmin = Effect.fn("signOutAdmin")(function* (adminId: string, reason: string) {
  yield* takeAway(adminId)
  yield* record("admin.signed-out", { principalId: adminId, reason })
})

/** Shuts somebody out, with their next request. Only on the machine are they let in again. */
export const blockAdmin = Effect.fn("blockAdmin")(function* (adminId: string, reason: string) {
  const { sql } = yield* PlatformTx
  yield* takeAway(adminId)
  yield* sql`update mahalla.platform_admin set status = 'blocked' where id = ${adminId}`
  yield* record("admin.blocked", { principalId: adminId, reason })
  return (yield* adminsOf(adminId))[0]!
})

/** Lets somebody in again; they begin with a new link. */
export const unblockAdmin = Effect.fn("unblockAdmin")(function* (adminId: string) {
  const { sql } = yield* PlatformTx
  yield* takeAway(adminId)
  yield* sql`update mahalla.platform_admin set status = 'active' where id = ${adminId}`
  yield* record("admin.unblocked", { principalId: adminId })
})

/** For whoever has lost it: takes the authenticator app away, and ends their sign-ins. */
export const resetAdminFactor = Effect.fn("resetAdminFactor")(function* (adminId: string) {
  const { sql } = yield* PlatformTx
  yield* takeAway(adminId)
  yield* sql`
    update mahalla.platform_admin set totp_salt = null, totp_confirmed_at = null, totp_last_step = 0 where id = ${adminId}`
  yield* record("admin.factor-reset", { principalId: adminId })
})
