/** Ways to sign in as a part of a person: what they were, without what makes them work, and their end; and what registers said of them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"
import { claimsColumn, referenceColumn } from "./checks.ts"
import { ApiKeyRevoked } from "./events.ts"
import { subjectColumn } from "./openIdAccounts.ts"
import { listInvitations } from "./openIdLinks.ts"

const signInsOfPerson: PersonPart = {
  id: "signIns",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select type, occurred_at as at from mahalla.event
      where tenant_id = ${tenantId} and actor_id = ${personId} and type = 'identity.signed-in' order by id desc limit 1000`
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.sign_in_link where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

const sessionsOfPerson: PersonPart = {
  id: "sessions",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select s.id, s.second_factor as "secondFactor", d.name as device, s.created_at as "createdAt", s.last_used_at as "lastUsedAt",
        s.expires_at as "expiresAt", s.ended_at as "endedAt", s.ended_because as "endedBecause"
      from mahalla.session s left join mahalla.sign_in_device d on d.tenant_id = s.tenant_id and d.id = s.device_id
      where s.tenant_id = ${tenantId} and s.principal_id = ${personId} order by s.id`
  }),
  // Their refresh tokens go with them. A token of one that is gone is refused as one that has ended.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.session where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

const devicesOfPerson: PersonPart = {
  id: "devices",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, name, first_used_at as "firstUsedAt", last_used_at as "lastUsedAt" from mahalla.sign_in_device
      where tenant_id = ${tenantId} and principal_id = ${personId} order by id`
  }),
  // After the sessions, which name them.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.sign_in_device where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

const factorsOfPerson: PersonPart = {
  id: "factors",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const passkeys = yield* sql`
      select id, name, created_at as "createdAt", last_used_at as "lastUsedAt" from mahalla.passkey
      where tenant_id = ${tenantId} and principal_id = ${personId} order by id`
    const apps = yield* sql`
      select created_at as "createdAt", confirmed_at as "confirmedAt" from mahalla.totp
      where tenant_id = ${tenantId} and principal_id = ${personId}`
    const codes = yield* sql`
      select created_at as "createdAt", used_at as "usedAt" from mahalla.recovery_code
      where tenant_id = ${tenantId} and principal_id = ${personId} order by place`
    return { passkeys, authenticatorApp: apps[0] ?? null, recoveryCodes: codes }
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.passkey_challenge where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.passkey where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.totp where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.recovery_code where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

/** Keys act as apps, which are the city's; whoever has made one has it, so it ends with them. */
const keysOfPerson: PersonPart = {
  id: "apiKeys",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, name, prefix, scopes, created_at as "createdAt", expires_at as "expiresAt", last_used_at as "lastUsedAt",
        revoked_at as "revokedAt"
      from mahalla.api_key where tenant_id = ${tenantId} and created_by = ${personId} order by id`
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const revoked = yield* sql<{ id: string; principal_id: string }>`
      update mahalla.api_key set revoked_at = ${new Date(yield* Clock.currentTimeMillis)}
      where tenant_id = ${tenantId} and created_by = ${personId} and revoked_at is null returning id, principal_id`
    for (const { id, principal_id: principalId } of revoked)
      yield* appendEvent(ApiKeyRevoked, { principalId, keyId: id })
  })
}

interface CheckOfPerson {
  readonly id: string
  readonly claims: string | null
  readonly reference: string | null
}

const checksOfPerson: PersonPart = {
  id: "identityChecks",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<CheckOfPerson>`
      select id, register, consent, state, reason, assurance, claims, reference, asked_at as "askedAt", settled_at as "settledAt"
      from mahalla.identity_check where tenant_id = ${tenantId} and principal_id = ${personId} order by id`
    return yield* Effect.forEach(rows, ({ claims, reference, ...row }) =>
      Effect.gen(function* () {
        return {
          ...row,
          claims: claims === null ? null : (JSON.parse(yield* claimsColumn.open(row.id, claims)) as unknown),
          reference: reference === null ? null : yield* referenceColumn.open(row.id, reference)
        }
      })
    )
  }),
  // Their number is free again.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.identity_check where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

/** Outside identities, and those that an administrator expects. */
const openIdOfPerson: PersonPart = {
  id: "openid",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const links = yield* sql<{ id: string; sealed: string }>`
      select l.id, l.provider_id as provider, o.issuer, l.subject_sealed as sealed, l.created_at as "createdAt", l.last_used_at as "lastUsedAt"
      from mahalla.openid_link l join mahalla.openid_provider o on o.tenant_id = l.tenant_id and o.id = l.provider_id
      where l.tenant_id = ${tenantId} and l.principal_id = ${personId} order by l.id`
    return {
      links: yield* Effect.forEach(links, ({ sealed, ...link }) =>
        Effect.map(subjectColumn.open(link.id, sealed), (subject) => ({ ...link, subject }))
      ),
      invitations: yield* listInvitations(personId)
    }
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.openid_link where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.openid_invitation where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

export const identityOfPerson: ReadonlyArray<PersonPart> = [
  signInsOfPerson,
  sessionsOfPerson,
  devicesOfPerson,
  factorsOfPerson,
  openIdOfPerson,
  keysOfPerson,
  checksOfPerson
]
