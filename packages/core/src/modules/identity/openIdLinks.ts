/** Outside identities of an account: seen and taken away by its owner, and for staff invited and taken away by an administrator. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { demandAllOf, givenPath, issue } from "../../kernel/policy/giving.ts"
import { Forbidden } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { currentRoles } from "../../kernel/policy/roles.ts"
import { OpenIdInvitationWithdrawn, OpenIdInvited, OpenIdUnlinked } from "./events.ts"
import { demandProof, demandWayIn, type Self } from "./factors.ts"
import { tellPerson } from "./notices.ts"
import { type InvitedClaim, invitedColumn, invitedValue } from "./openIdAccounts.ts"
import { openIdLimits } from "./openIdModel.ts"
import { endOtherSessions } from "./sessions.ts"

export const listLinks = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ id: string; provider: string; vouched: boolean; createdAt: Date; lastUsedAt: Date | null }>`
    select id, provider_id as provider, vouched_by is not null as vouched, created_at as "createdAt", last_used_at as "lastUsedAt"
    from mahalla.openid_link where tenant_id = ${tenantId} and principal_id = ${principalId} order by id`
})

const unlink = Effect.fnUntraced(function* (principalId: string, id: string, actorId: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const [gone] = yield* sql<{ provider: string }>`
    delete from mahalla.openid_link where tenant_id = ${tenantId} and principal_id = ${principalId} and id = ${id}
    returning provider_id as provider`
  if (gone === undefined) return false
  yield* appendEvent(OpenIdUnlinked, { principalId, linkId: id, provider: gone.provider }, { actorId })
  yield* tellPerson(principalId, "openid-unlinked")
  return true
})

/** Takes an identity of one's own away, never the last way in. Whoever takes another way away at once waits. */
export const unlinkOwn = Effect.fn("identity.unlinkOwn")(function* (self: Self, id: string) {
  const { principalId } = self
  yield* demandProof(self)
  if (!(yield* unlink(principalId, id, principalId))) return yield* new NotFound({ what: "link", id })
  yield* demandWayIn(principalId)
})

/**
 * Whoever says which identity opens an account could take it: so they must hold all that it may do, and be there in person. Waits for whoever
 * changes its roles.
 */
const demandOver = Effect.fnUntraced(function* (principalId: string) {
  const { id: actorId, within } = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  if (within !== undefined || actorId === null)
    return yield* new Forbidden({
      permission: "openid-link.write",
      because: "no-permission",
      message: "Only people say this of people: sign in to do it."
    })
  const known = yield* sql`
    select from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId} and kind in ('person', 'staff') and status = 'active'
    for update`
  if (known.length === 0) return yield* new NotFound({ what: "principal", id: principalId })
  const roles = yield* currentRoles
  const grants = yield* sql<{ role: string; territory_id: string | null; until: Date | null }>`
    select role, territory_id, until from mahalla.role_grant where tenant_id = ${tenantId} and principal_id = ${principalId}`
  const handedOn = yield* sql<{
    role: string
    territory_id: string | null
    until: Date
    permissions: ReadonlyArray<string> | null
  }>`
    select role, territory_id, until, permissions from mahalla.delegation
    where tenant_id = ${tenantId} and principal_id = ${principalId} and ended_at is null`
  for (const { permissions, role, territory_id: territory, until } of [
    ...grants.map((grant) => ({ ...grant, permissions: null })),
    ...handedOn
  ])
    yield* demandAllOf(
      permissions ?? roles.get(role)?.permissions ?? [],
      yield* givenPath(territory),
      until?.getTime() ?? null
    )
  return actorId
})

export interface Invitation {
  readonly provider: string
  readonly claim: InvitedClaim
  readonly value: string
}

/** Says which identity is this account's; the first who shows it is linked. Takes the place of what was said before. */
export const invite = Effect.fn("identity.inviteIdentity")(function* (principalId: string, given: Invitation) {
  const { sql, tenantId } = yield* TenantTx
  const actorId = yield* demandOver(principalId)
  const [provider] = yield* sql`
    select from mahalla.openid_provider where tenant_id = ${tenantId} and id = ${given.provider} for key share`
  if (provider === undefined)
    return yield* issue("/provider", "There is no such provider; GET /v1/openid-providers lists them.")
  const now = yield* Clock.currentTimeMillis
  const id = yield* newId
  const value = given.claim === "email" ? given.value.toLowerCase() : given.value
  const index = yield* invitedColumn.index(invitedValue(given.claim, value))
  const expiresAt = new Date(now + openIdLimits.invitationDays * 86_400_000)
  yield* sql`
    delete from mahalla.openid_invitation
    where tenant_id = ${tenantId} and provider_id = ${given.provider}
      and (principal_id = ${principalId} or (value_index = ${index} and expires_at <= ${new Date(now)}))`
  const made = yield* sql`
    insert into mahalla.openid_invitation (tenant_id, id, principal_id, provider_id, claim, value_index, value_sealed, created_by, created_at,
                                           expires_at)
    values (${tenantId}, ${id}, ${principalId}, ${given.provider}, ${given.claim}, ${index}, ${yield* invitedColumn.seal(id, value)}, ${actorId},
            ${new Date(now)}, ${expiresAt})
    on conflict (tenant_id, provider_id, value_index) do nothing returning id`
  if (made.length === 0) return yield* issue("/value", "Somebody else was invited by this already.")
  yield* appendEvent(OpenIdInvited, { principalId, invitationId: id, provider: given.provider }, { actorId })
  return { id, provider: given.provider, claim: given.claim, value, expiresAt }
})

export const listInvitations = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{
    readonly id: string
    readonly provider: string
    readonly claim: InvitedClaim
    readonly sealed: string
    readonly expiresAt: Date
  }>`
    select id, provider_id as provider, claim, value_sealed as sealed, expires_at as "expiresAt" from mahalla.openid_invitation
    where tenant_id = ${tenantId} and principal_id = ${principalId} order by id`
  return yield* Effect.forEach(rows, ({ sealed, ...row }) =>
    Effect.map(invitedColumn.open(row.id, sealed), (value) => ({ ...row, value }))
  )
})

/** Fails where there is no such person. */
export const demandKnown = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const known = yield* sql`select from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId}`
  if (known.length === 0) return yield* new NotFound({ what: "principal", id: principalId })
})

/** For administrators: takes a link away, and with it every session of the account; or an invitation that nobody has followed. */
export const takeAway = Effect.fn("identity.takeIdentityAway")(function* (principalId: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  const actorId = yield* demandOver(principalId)
  if (yield* unlink(principalId, id, actorId)) return void (yield* endOtherSessions(principalId, null))
  const [withdrawn] = yield* sql<{ provider: string }>`
    delete from mahalla.openid_invitation where tenant_id = ${tenantId} and principal_id = ${principalId} and id = ${id}
    returning provider_id as provider`
  if (withdrawn === undefined) return yield* new NotFound({ what: "link", id })
  yield* appendEvent(
    OpenIdInvitationWithdrawn,
    { principalId, invitationId: id, provider: withdrawn.provider },
    { actorId }
  )
})
