/**
 * Whose account an outside identity is. An identity is issuer and subject and nothing else; no claim gives anybody a right. Citizens are
 * made at their first sign-in; a member of staff is let in by an identity only when an administrator has said that it is theirs.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { sealName } from "../../kernel/personal/people.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { OpenIdLinked } from "./events.ts"
import { demandProof, type Self } from "./factors.ts"
import { SignInRefused } from "./model.ts"
import { tellPerson } from "./notices.ts"
import { openIdRefused } from "./openIdClient.ts"
import type { Admitted, OutsideIdentity, Provider } from "./openIdModel.ts"
import { isStaff } from "./sessions.ts"

export const subjectColumn = sealedColumn("openid_link", "subject")
export const invitedColumn = sealedColumn("openid_invitation", "value")

/** What an invitation waits for. */
export type InvitedClaim = "sub" | "email"

/** The text that an invitation's index is made of. */
export const invitedValue = (claim: InvitedClaim, value: string) => `${claim} ${value}`

const titleOf = ({ id, title }: Provider) => title["en"] ?? Object.values(title)[0] ?? id

const refusedTo = (who: Admitted, provider: Provider) =>
  new SignInRefused({
    message:
      who === "staff"
        ? `This identity of ${titleOf(provider)} is nobody's of the staff. Ask an administrator to invite it.`
        : `Citizens do not sign in through ${titleOf(provider)}.`
  })

const holds = (claim: unknown, values: ReadonlyArray<string>) =>
  (Array.isArray(claim) ? claim : [claim]).some((one) => values.includes(String(one)))

/** Whether the claims say what the city requires. */
export const meets = ({ requires }: Pick<Provider, "requires">, { claims, email }: OutsideIdentity): boolean =>
  (requires.emailDomains === undefined ||
    (email !== undefined && requires.emailDomains.includes(email.slice(email.lastIndexOf("@") + 1)))) &&
  Object.entries(requires.claims ?? {}).every(
    ([name, values]) => Object.hasOwn(claims, name) && holds(claims[name], values)
  )

const demandMet = (provider: Provider, identity: OutsideIdentity) =>
  meets(provider, identity)
    ? Effect.void
    : Effect.fail(
        new SignInRefused({
          message: `${titleOf(provider)} does not say of you what this city asks for. Sign in another way, or ask an administrator.`
        })
      )

interface LinkRow {
  readonly id: string
  readonly principal_id: string
  readonly vouched_by: string | null
  readonly status: string
}

interface InvitationRow {
  readonly id: string
  readonly principal_id: string
  readonly created_by: string
}

/** The identity's link and the invitation that waits for it. Whoever asks for the same identity at once waits. */
const look = Effect.fnUntraced(function* (provider: Provider, { email, issuer, subject }: OutsideIdentity) {
  const { sql, tenantId } = yield* TenantTx
  const index = yield* subjectColumn.index(JSON.stringify([issuer, subject]))
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`mahalla.openid_link ${index}`}, hashtextextended(${tenantId}, 0)))`
  // The provider cannot be taken away while somebody enters through it.
  const [there] = yield* sql`
    select from mahalla.openid_provider where tenant_id = ${tenantId} and id = ${provider.id} and active for key share`
  if (there === undefined) return yield* openIdRefused
  const [link] = yield* sql<LinkRow>`
    select l.id, l.principal_id, l.vouched_by, p.status from mahalla.openid_link l
    join mahalla.principal p on p.tenant_id = l.tenant_id and p.id = l.principal_id
    where l.tenant_id = ${tenantId} and l.subject_index = ${index}`
  const values = [invitedValue("sub", subject), ...(email === undefined ? [] : [invitedValue("email", email)])]
  const indexes = yield* Effect.forEach(values, invitedColumn.index)
  const invitations = yield* sql<InvitationRow>`
    select i.id, i.principal_id, i.created_by from mahalla.openid_invitation i
    join mahalla.principal p on p.tenant_id = i.tenant_id and p.id = i.principal_id and p.status = 'active'
    where i.tenant_id = ${tenantId} and i.provider_id = ${provider.id} and i.value_index = any (${indexes}::text[])
      and i.expires_at > ${new Date(yield* Clock.currentTimeMillis)}
    order by i.claim desc for update of i`
  return { index, link, invitations }
})

/** Makes the link. Fails where the account has another identity of this provider. */
const addLink = Effect.fnUntraced(function* (
  provider: Provider,
  { subject }: OutsideIdentity,
  link: {
    readonly index: string
    readonly principalId: string
    readonly vouchedBy: string | null
    readonly because: "registered" | "linked" | "invited"
  }
) {
  const { sql, tenantId } = yield* TenantTx
  const { because, index, principalId, vouchedBy } = link
  const id = yield* newId
  const at = new Date(yield* Clock.currentTimeMillis)
  const made = yield* sql`
    insert into mahalla.openid_link (tenant_id, id, principal_id, provider_id, subject_index, subject_sealed, vouched_by, created_at)
    values (${tenantId}, ${id}, ${principalId}, ${provider.id}, ${index}, ${yield* subjectColumn.seal(id, subject)}, ${vouchedBy}, ${at})
    on conflict (tenant_id, principal_id, provider_id) do nothing returning id`
  if (made.length === 0)
    return yield* new Refused({
      code: "openid-linked",
      message: `The account has another identity of ${titleOf(provider)}. Remove that one first.`
    })
  yield* appendEvent(
    OpenIdLinked,
    { principalId, linkId: id, provider: provider.id, because },
    { actorId: principalId }
  )
  if (because !== "registered") yield* tellPerson(principalId, "openid-linked")
  return { id, createdAt: at }
})

const useInvitation = Effect.fnUntraced(function* (invitation: InvitationRow) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`delete from mahalla.openid_invitation where tenant_id = ${tenantId} and id = ${invitation.id}`
})

const vouch = Effect.fnUntraced(function* (link: LinkRow, invitation: InvitationRow) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.openid_link set vouched_by = ${invitation.created_by} where tenant_id = ${tenantId} and id = ${link.id}`
  yield* useInvitation(invitation)
})

const register = Effect.fnUntraced(function* (
  provider: Provider,
  identity: OutsideIdentity,
  index: string,
  language: string
) {
  const { sql, tenantId } = yield* TenantTx
  const principalId = yield* newId
  const name = yield* sealName(principalId, identity.name ?? null)
  yield* sql`
    insert into mahalla.principal (tenant_id, id, kind, name_sealed, language)
    values (${tenantId}, ${principalId}, 'person', ${name}, ${language})`
  yield* addLink(provider, identity, { index, principalId, vouchedBy: null, because: "registered" })
  return { principalId, vouched: false }
})

/** Whose account it is, by its link, an invitation, or as somebody new. */
const accountOf = Effect.fnUntraced(function* (provider: Provider, identity: OutsideIdentity, language: string) {
  const { index, invitations, link } = yield* look(provider, identity)
  if (link !== undefined) {
    if (link.status !== "active")
      return yield* new SignInRefused({ message: "This account is closed. Ask an administrator." })
    const invitation = invitations.find(({ principal_id }) => principal_id === link.principal_id)
    if (invitation !== undefined) yield* vouch(link, invitation)
    return { principalId: link.principal_id, vouched: invitation !== undefined || link.vouched_by !== null }
  }
  const [invitation] = invitations
  if (invitation !== undefined) {
    const { created_by: vouchedBy, principal_id: principalId } = invitation
    yield* addLink(provider, identity, { index, principalId, vouchedBy, because: "invited" })
    yield* useInvitation(invitation)
    return { principalId, vouched: true }
  }
  if (!provider.admits.includes("citizens")) return yield* refusedTo("staff", provider)
  return yield* register(provider, identity, index, language)
})

const demandAdmitted = Effect.fnUntraced(function* (provider: Provider, principalId: string, vouched: boolean) {
  const who: Admitted = (yield* isStaff(principalId)) ? "staff" : "citizens"
  if (!provider.admits.includes(who) || (who === "staff" && !vouched)) return yield* refusedTo(who, provider)
})

/** The account that the identity signs in to; made at a citizen's first time. */
export const enterByIdentity = Effect.fn("identity.enterByIdentity")(function* (
  provider: Provider,
  identity: OutsideIdentity,
  language: string
) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandMet(provider, identity)
  const { principalId, vouched } = yield* accountOf(provider, identity, language)
  yield* demandAdmitted(provider, principalId, vouched)
  yield* sql`
    update mahalla.openid_link set last_used_at = ${new Date(yield* Clock.currentTimeMillis)}
    where tenant_id = ${tenantId} and principal_id = ${principalId} and provider_id = ${provider.id}`
  return principalId
})

/** Links the identity to the account of whoever is signed in and has just shown it. */
export const linkIdentity = Effect.fn("identity.linkIdentity")(function* (
  provider: Provider,
  identity: OutsideIdentity,
  self: Self
) {
  const { principalId } = self
  yield* demandMet(provider, identity)
  yield* demandProof(self)
  const { index, invitations, link } = yield* look(provider, identity)
  if (link !== undefined)
    return yield* new Refused({
      code: "openid-taken",
      message:
        link.principal_id === principalId
          ? "This identity is linked to your account already."
          : "This identity signs in to another account. Sign in there and remove it first."
    })
  const invitation = invitations.find(({ principal_id }) => principal_id === principalId)
  yield* demandAdmitted(provider, principalId, invitation !== undefined)
  if (invitation !== undefined) yield* useInvitation(invitation)
  const vouchedBy = invitation?.created_by ?? null
  const made = yield* addLink(provider, identity, { index, principalId, vouchedBy, because: "linked" })
  return { ...made, provider: provider.id, vouched: vouchedBy !== null, lastUsedAt: null }
})
