/**
 * Sessions: a sign-in and everything refreshed from it. Access tokens are short and signed; refresh tokens are opaque, good once, and
 * a second use of one ends the session, for then somebody has copied it.
 */
import { createHash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { AccessTokens } from "../../kernel/http/tokens.ts"
import { newId } from "../../kernel/ids.ts"
import { RefreshReused, SessionEnded } from "./events.ts"
import { sessionLife, type SignInBy, SignInRefused } from "./model.ts"
import { tellPerson } from "./notices.ts"

export type SecondFactor = "none" | "pending" | "passed"

/** What the client keeps. */
export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
  readonly sessionId: string
  readonly principalId: string
  /** Seconds. */
  readonly expiresIn: number
  /** Seconds until the session ends, however often it is refreshed. */
  readonly refreshExpiresIn: number
  readonly secondFactor: SecondFactor
  /** Whether the person has a role. */
  readonly staff: boolean
}

interface SessionRow {
  readonly id: string
  readonly principal_id: string
  readonly second_factor: SecondFactor
  readonly expires_at: Date
}

const hashOf = (token: string) => createHash("sha256").update(token).digest("base64url")

/** Form of a refresh token. */
export const refreshTokenPattern = /^mrt_[A-Za-z0-9_-]{43}$/

const newRefreshToken = Effect.fnUntraced(function* (sessionId: string, now: number) {
  const { sql, tenantId } = yield* TenantTx
  const token = `mrt_${randomBytes(32).toString("base64url")}`
  yield* sql`
    insert into mahalla.refresh_token (tenant_id, token_hash, session_id, created_at)
    values (${tenantId}, ${hashOf(token)}, ${sessionId}, ${new Date(now)})`
  return token
})

const tokensOf = Effect.fnUntraced(function* (
  tenantId: string,
  session: SessionRow,
  refreshToken: string,
  staff: boolean
) {
  const now = yield* Clock.currentTimeMillis
  const principalId = session.principal_id
  const { expiresIn, token } = yield* (yield* AccessTokens).issue({ tenantId, principalId, sessionId: session.id })
  const tokens: Tokens = {
    accessToken: token,
    refreshToken,
    sessionId: session.id,
    principalId,
    expiresIn,
    refreshExpiresIn: Math.round((session.expires_at.getTime() - now) / 1000),
    secondFactor: session.second_factor,
    staff
  }
  return tokens
})

/** Whether the person is of the staff: by kind, by a role, or by one that was handed on. */
export const isStaff = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* sql<{ staff: boolean }>`
    select p.kind = 'staff' or exists (
      select from mahalla.role_grant g
      where g.tenant_id = ${tenantId} and g.principal_id = p.id and (g.until is null or g.until > ${now})) or exists (
      select from mahalla.delegation d
      where d.tenant_id = ${tenantId} and d.principal_id = p.id and d.ended_at is null and d.until > ${now}) as staff
    from mahalla.principal p where p.tenant_id = ${tenantId} and p.id = ${principalId}`
  return row?.staff === true
})

const lifeOf = (staff: boolean, secondFactor: SecondFactor) =>
  secondFactor === "pending" ? sessionLife.pending : staff ? sessionLife.staff : sessionLife.person

const gone = new SignInRefused({ message: "This account is blocked or gone. Ask the operator." })

/** Waits for whoever blocks the person or adds a factor at this moment: a session that began beside that would have heard of neither. */
export const demandActive = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const active = yield* sql`
    select from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId} and status = 'active' for share`
  if (active.length === 0) return yield* gone
})

export interface NewSession {
  readonly principalId: string
  readonly by: SignInBy
  readonly secondFactor: SecondFactor
  /** When the person showed who they are, where that was elsewhere and before. */
  readonly provedAt: Date | undefined
  readonly deviceId: string | null
}

/** Begins a session in the transaction of the sign-in. */
export const openSession = Effect.fn("identity.openSession")(function* (given: NewSession) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const staff = yield* isStaff(given.principalId)
  const life = lifeOf(staff, given.secondFactor)
  const session: SessionRow = {
    id: yield* newId,
    principal_id: given.principalId,
    second_factor: given.secondFactor,
    expires_at: new Date(now + life.whole * 1000)
  }
  const at = new Date(now)
  const provedAt = new Date(Math.min(now, given.provedAt?.getTime() ?? now))
  yield* sql`
    insert into mahalla.session (tenant_id, id, principal_id, signed_in_by, second_factor, proved_at, device_id, created_at, last_used_at,
                                 idle_until, expires_at)
    values (${tenantId}, ${session.id}, ${given.principalId}, ${given.by}, ${given.secondFactor}, ${provedAt}, ${given.deviceId}, ${at}, ${at},
            ${new Date(now + life.idle * 1000)}, ${session.expires_at})`
  return yield* tokensOf(tenantId, session, yield* newRefreshToken(session.id, now), staff)
})

/** The session's second factor was shown, or set up in it: it lives as long as others from now on. */
export const passSecondFactor = Effect.fn("identity.passSecondFactor")(function* (
  principalId: string,
  sessionId: string
) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const life = lifeOf(yield* isStaff(principalId), "passed")
  yield* sql`
    update mahalla.session set second_factor = 'passed', proved_at = ${new Date(now)}, idle_until = ${new Date(now + life.idle * 1000)},
      expires_at = case when second_factor = 'pending' then ${new Date(now + life.whole * 1000)} else expires_at end
    where tenant_id = ${tenantId} and principal_id = ${principalId} and id = ${sessionId} and ended_at is null`
})

const refreshRefused = new SignInRefused({ message: "The session has ended. Sign in again." })

/** Of several requests with one token, one marks it used. */
const rotate = Effect.fnUntraced(function* (refreshToken: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const at = new Date(now)
  const hash = hashOf(refreshToken)
  const [used] = yield* sql<{ session_id: string }>`
    update mahalla.refresh_token set used_at = ${at} where tenant_id = ${tenantId} and token_hash = ${hash} and used_at is null
    returning session_id`
  if (used === undefined) {
    const [known] = yield* sql<{ session_id: string }>`
      select session_id from mahalla.refresh_token where tenant_id = ${tenantId} and token_hash = ${hash}`
    return known === undefined ? ({ _tag: "Unknown" } as const) : ({ _tag: "Reused", id: known.session_id } as const)
  }
  // Where nothing came of it the token is as good as unused: an app that tries again has not copied it, and a clock that was wrong gets right.
  const ended = Effect.as(
    sql`update mahalla.refresh_token set used_at = null where tenant_id = ${tenantId} and token_hash = ${hash}`,
    { _tag: "Ended" } as const
  )
  // Waits for whoever is ending the session, and then finds it ended.
  const [held] = yield* sql<SessionRow & { readonly last_used_at: Date }>`
    select s.id, s.principal_id, s.second_factor, s.expires_at, s.last_used_at from mahalla.session s
    join mahalla.principal p on p.tenant_id = s.tenant_id and p.id = s.principal_id
    where s.tenant_id = ${tenantId} and s.id = ${used.session_id} and s.ended_at is null and s.expires_at > ${at} and s.idle_until > ${at}
      and p.status = 'active'
    for update of s`
  if (held === undefined) return yield* ended
  const staff = yield* isStaff(held.principal_id)
  const { idle, whole } = lifeOf(staff, held.second_factor)
  // It began before its person had a role, or a second factor: from now on it has the life of those who do.
  if (held.last_used_at.getTime() + idle * 1000 <= now) return yield* ended
  // A clock that was put back shortens nothing.
  const [refreshed] = yield* sql<SessionRow>`
    update mahalla.session set last_used_at = greatest(last_used_at, ${at}),
      idle_until = case when last_used_at > ${at} then idle_until else ${new Date(now + idle * 1000)} end,
      expires_at = case when last_used_at > ${at} then expires_at else least(expires_at, ${new Date(now + whole * 1000)}) end
    where tenant_id = ${tenantId} and id = ${held.id} returning id, principal_id, second_factor, expires_at`
  return { _tag: "Refreshed", session: refreshed!, staff, token: yield* newRefreshToken(held.id, now) } as const
})

/** Ends a session that is in force. False when it was not. */
const end = Effect.fnUntraced(function* (
  id: string,
  because: "signed-out" | "revoked" | "reused",
  principalId?: string
) {
  const { sql, tenantId } = yield* TenantTx
  const [ended] = yield* sql<{ principal_id: string }>`
    update mahalla.session set ended_at = ${new Date(yield* Clock.currentTimeMillis)}, ended_because = ${because}
    where tenant_id = ${tenantId} and id = ${id} and ended_at is null and (${principalId ?? null}::uuid is null or principal_id = ${principalId ?? null})
    returning principal_id`
  if (ended === undefined) return undefined
  const { principal_id: owner } = ended
  yield* appendEvent(SessionEnded, { principalId: owner, sessionId: id, because }, { actorId: owner })
  return owner
})

/**
 * New tokens for a refresh token, which is used up. One that was used before ends the session in a transaction of its own, committed
 * before the refusal: a refusal undoes nothing. A retried request is not told from a theft, so there is no grace for it.
 */
export const refreshSession = Effect.fn("identity.refreshSession")(function* (tenantId: string, refreshToken: string) {
  const outcome = yield* withTenant(tenantId)(rotate(refreshToken))
  if (outcome._tag === "Refreshed") {
    const { session, staff, token } = outcome
    return yield* tokensOf(tenantId, session, token, staff)
  }
  if (outcome._tag === "Reused") {
    yield* withTenant(tenantId)(
      Effect.gen(function* () {
        const principalId = yield* end(outcome.id, "reused")
        if (principalId === undefined) return
        yield* appendEvent(RefreshReused, { principalId, sessionId: outcome.id }, { actorId: principalId })
        yield* tellPerson(principalId, "session-copied")
      })
    )
  }
  return yield* refreshRefused
})

/** Ends one's own session. */
export const endSession = Effect.fn("identity.endSession")(function* (
  principalId: string,
  id: string,
  because: "signed-out" | "revoked"
) {
  if ((yield* end(id, because, principalId)) === undefined) return yield* new NotFound({ what: "session", id })
})

/** Ends all of somebody's sessions but one; says how many. */
export const endOtherSessions = Effect.fn("identity.endOtherSessions")(function* (
  principalId: string,
  but: string | null
) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select id from mahalla.session where tenant_id = ${tenantId} and principal_id = ${principalId} and ended_at is null
      and id is distinct from ${but}::uuid and expires_at > ${new Date(yield* Clock.currentTimeMillis)} order by id`
  let ended = 0
  for (const { id } of rows) if ((yield* end(id, "revoked", principalId)) !== undefined) ended++
  return ended
})

/** Somebody's sessions in force, the newest first; up to `limit` older than `before`. */
export const listSessions = Effect.fnUntraced(function* (
  principalId: string,
  before: string | undefined,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  return yield* sql<{
    readonly id: string
    readonly signedInBy: SignInBy
    readonly secondFactor: SecondFactor
    readonly device: string | null
    readonly createdAt: Date
    readonly lastUsedAt: Date
    readonly expiresAt: Date
  }>`
    select s.id, s.signed_in_by as "signedInBy", s.second_factor as "secondFactor", d.name as device, s.created_at as "createdAt",
           s.last_used_at as "lastUsedAt", s.expires_at as "expiresAt"
    from mahalla.session s left join mahalla.sign_in_device d on d.tenant_id = s.tenant_id and d.id = s.device_id
    where s.tenant_id = ${tenantId} and s.principal_id = ${principalId} and s.ended_at is null and s.expires_at > ${now} and s.idle_until > ${now}
      and (${before ?? null}::uuid is null or s.id < ${before ?? null}::uuid)
    order by s.id desc limit ${limit}`
})
