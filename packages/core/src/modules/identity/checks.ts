/**
 * Questions to registers of people. A question is committed under its own id before anybody is asked; what a person claims is sealed and
 * lives until the answer, and of a number that was confirmed only a blind index stays.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import type { Assurance, Claims, IdentityAnswer } from "../../ports/IdentityCheck.ts"
import { IdentityCheckStarted, IdentityConfirmed, IdentityNotConfirmed, IdentityRevoked } from "./events.ts"
import { tellPerson } from "./notices.ts"

export const claimsColumn = sealedColumn("identity_check", "claims")
export const referenceColumn = sealedColumn("identity_check", "reference")

export const checkLimits = {
  /** Questions of one account in a day. */
  perAccount: 5,
  /** Questions about one number in a day, whoever asks: numbers are not to be tried with birthday after birthday. */
  perNumber: 10,
  /** Seconds after which a question without an answer is given up, and what was claimed is deleted. */
  life: 7 * 86_400
} as const

export type CheckState = "waiting" | "confirmed" | "not-confirmed" | "no-answer" | "revoked"

export type CheckReason = "no-match" | "not-valid" | "not-usable" | "used-elsewhere"

/** How a question ends. `not-usable`: the register cannot read it. */
export type CheckOutcome =
  | Extract<IdentityAnswer, { readonly state: "confirmed" }>
  | { readonly state: "not-confirmed"; readonly reason: CheckReason }
  | { readonly state: "no-answer" }

interface CheckRow {
  readonly id: string
  readonly register: string
  readonly state: CheckState
  readonly reason: CheckReason | null
  readonly assurance: Assurance | null
  readonly askedAt: Date
  readonly settledAt: Date | null
}

export const checkView = (row: CheckRow) => ({
  ...row,
  askedAt: row.askedAt.toISOString(),
  settledAt: row.settledAt?.toISOString() ?? null
})

/** The newest first. Index `identity_check_of_principal`. */
export const checksOf = Effect.fnUntraced(function* (principalId: string, limit: number) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<CheckRow>`
    select id, register, state, reason, assurance, asked_at as "askedAt", settled_at as "settledAt" from mahalla.identity_check
    where tenant_id = ${tenantId} and principal_id = ${principalId} order by id desc limit ${limit}`
})

export interface Verified {
  readonly assurance: Assurance
  /** Instance of the register. */
  readonly by: string
  readonly at: Date
}

export const verifiedView = ({ at, ...row }: Verified) => ({ ...row, at: at.toISOString() })

/** That somebody is who they say, as surely as it was ever confirmed; undefined when it was not. */
export const verifiedOf = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Verified>`
    select assurance, register as by, settled_at as at from mahalla.identity_check
    where tenant_id = ${tenantId} and principal_id = ${principalId} and state = 'confirmed'
    order by array_position(array['high', 'substantial', 'low'], assurance), settled_at limit 1`
  return rows[0]
})

/** The blind index of a number in a register. */
export const numberIndex = (register: string, number: string) => claimsColumn.index(JSON.stringify([register, number]))

/** Writes a question of somebody and the job that asks it. */
export const startCheck = Effect.fn("identity.startCheck")(function* (given: {
  readonly principalId: string
  readonly register: string
  readonly claims: Claims
  readonly consent: string
}) {
  const { sql, tenantId } = yield* TenantTx
  const { claims, consent, principalId, register } = given
  // Two at once: the second one sees the first.
  yield* sql`select from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId} for no key update`
  const open = yield* sql<{ state: CheckState }>`
    select state from mahalla.identity_check
    where tenant_id = ${tenantId} and principal_id = ${principalId} and (state = 'waiting' or (state = 'confirmed' and register = ${register}))`
  if (open.some(({ state }) => state === "confirmed"))
    return yield* new Refused({
      code: "already-confirmed",
      message: "This register has confirmed this account already."
    })
  if (open.length > 0)
    return yield* new Refused({
      code: "check-waiting",
      message: "A question of yours has no answer yet. It is asked again until it has one; wait for it."
    })
  const id = yield* newId
  const askedAt = new Date(yield* Clock.currentTimeMillis)
  const sealed = yield* claimsColumn.seal(id, JSON.stringify(claims))
  yield* sql`
    insert into mahalla.identity_check (tenant_id, id, principal_id, register, consent, state, claims, number_index, asked_at)
    values (${tenantId}, ${id}, ${principalId}, ${register}, ${consent}, 'waiting', ${sealed}, ${yield* numberIndex(register, claims.number)}, ${askedAt})`
  yield* appendEvent(IdentityCheckStarted, { principalId, checkId: id, register, consent }, { actorId: principalId })
  yield* enqueue([{ topic: "identity.check", body: { checkId: id }, uniqueKey: id, maxAttempts: 100 }])
  const row: CheckRow = { id, register, state: "waiting", reason: null, assurance: null, askedAt, settledAt: null }
  return row
})

/** What is still to be asked; undefined when it was answered or its person is gone. */
export const openQuestion = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ register: string; claims: string; asked_at: Date; city: string }>`
    select c.register, c.claims, c.asked_at, t.name as city
    from mahalla.identity_check c join mahalla.tenant t on t.tenant_id = c.tenant_id
    where c.tenant_id = ${tenantId} and c.id = ${id} and c.state = 'waiting'`
  if (row === undefined) return undefined
  const claims = JSON.parse(yield* claimsColumn.open(id, row.claims)) as Claims
  return { register: row.register, askedAt: row.asked_at, claims, purpose: `Account of ${row.city}`.slice(0, 200) }
})

/** The account that has this number or this person of a register already. Locks the register's confirmations until the commit. */
const holderOf = Effect.fnUntraced(function* (register: string, number: string, reference: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`mahalla.identity_check ${register}`}, hashtextextended(${tenantId}, 0)))`
  const rows = yield* sql<{ principal_id: string }>`
    select principal_id from mahalla.identity_check
    where tenant_id = ${tenantId} and register = ${register} and state = 'confirmed'
      and (number_index = ${number} or reference_index = ${reference}) limit 1`
  return rows[0]?.principal_id
})

/** Writes down how a question ended, once. */
export const settleCheck = Effect.fn("identity.settleCheck")(function* (id: string, outcome: CheckOutcome) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ principal_id: string; register: string; number_index: string }>`
    select principal_id, register, number_index from mahalla.identity_check
    where tenant_id = ${tenantId} and id = ${id} and state = 'waiting' for update`
  if (row === undefined) return
  const { number_index: number, principal_id: principalId, register } = row
  const facts = { principalId, checkId: id, register }
  const at = new Date(yield* Clock.currentTimeMillis)
  const end = Effect.fnUntraced(function* (state: "not-confirmed" | "no-answer", reason: CheckReason | null) {
    yield* sql`
      update mahalla.identity_check set state = ${state}, reason = ${reason}, claims = null, number_index = null, settled_at = ${at}
      where tenant_id = ${tenantId} and id = ${id}`
    yield* appendEvent(IdentityNotConfirmed, { ...facts, state, ...(reason === null ? {} : { reason }) })
  })
  if (outcome.state !== "confirmed")
    return yield* end(outcome.state, outcome.state === "not-confirmed" ? outcome.reason : null)
  const { assurance, reference } = outcome
  const index = yield* referenceColumn.index(JSON.stringify([register, reference]))
  const holder = yield* holderOf(register, number, index)
  if (holder !== undefined) {
    // Whoever has the account hears of it: it may be somebody else who knows their number.
    yield* tellPerson(holder, "identity-tried")
    return yield* end("not-confirmed", "used-elsewhere")
  }
  yield* sql`
    update mahalla.identity_check
    set state = 'confirmed', claims = null, assurance = ${assurance}, reference = ${yield* referenceColumn.seal(id, reference)},
        reference_index = ${index}, settled_at = ${at}
    where tenant_id = ${tenantId} and id = ${id}`
  yield* appendEvent(IdentityConfirmed, { ...facts, assurance })
  yield* tellPerson(principalId, "identity-confirmed")
})

/** Takes all confirmations of an account back, so that another one of the same person can be confirmed; gives how many there were. */
export const revokeConfirmations = Effect.fn("identity.revokeConfirmations")(function* (
  principalId: string,
  actorId: string | null
) {
  const { sql, tenantId } = yield* TenantTx
  const revoked = yield* sql<{ id: string; register: string }>`
    update mahalla.identity_check
    set state = 'revoked', assurance = null, number_index = null, reference = null, reference_index = null
    where tenant_id = ${tenantId} and principal_id = ${principalId} and state = 'confirmed' returning id, register`
  for (const { id, register } of revoked)
    yield* appendEvent(IdentityRevoked, { principalId, checkId: id, register }, { actorId })
  return revoked.length
})
