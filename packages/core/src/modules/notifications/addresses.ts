/** Where people are reached beside their phone: mailboxes, push subscriptions of their browsers and apps, chats. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { Messengers } from "../../kernel/ports.ts"
import type { Address } from "./listeners.ts"

export const addressColumn = sealedColumn("notification_address", "address")

/** Of each kind, of one person. */
const most = 20

export interface StoredAddress extends Address {
  readonly verifiedAt: Date | null
  readonly createdAt: Date
}

/** Somebody's addresses of one kind, without what they are. */
export const addressesOf = Effect.fnUntraced(function* (personId: string, kind: Address["kind"]) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredAddress & { readonly address_sealed: string }>`
    select id, kind, channel, verified_at as "verifiedAt", created_at as "createdAt", address_sealed from mahalla.notification_address
    where tenant_id = ${tenantId} and principal_id = ${personId} and kind = ${kind} order by id`
})

/**
 * Keeps an address of somebody; of one that they have already the row it has. A push subscription is one browser's: whoever signs in there
 * takes it over. `verified`: whether it needs no proof.
 */
export const keepAddress = Effect.fn("notifications.keepAddress")(function* (given: {
  readonly personId: string
  readonly kind: Address["kind"]
  readonly channel: string | null
  readonly address: string
  readonly verified: boolean
}) {
  const { address, channel, kind, personId, verified } = given
  const { sql, tenantId } = yield* TenantTx
  const index = yield* addressColumn.index(address)
  if (kind !== "email")
    yield* sql`
      delete from mahalla.notification_address
      where tenant_id = ${tenantId} and kind = ${kind} and address_index = ${index} and principal_id <> ${personId}`
  const own = yield* sql<{ id: string; address_index: string }>`
    select id, address_index from mahalla.notification_address
    where tenant_id = ${tenantId} and principal_id = ${personId} and kind = ${kind}`
  const known = own.find((row) => row.address_index === index)
  if (known !== undefined) return known.id
  if (own.length >= most)
    return yield* new InvalidInput({
      issues: [{ pointer: "", detail: `Remove another one first: there may be ${most}.` }]
    })
  const id = yield* newId
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.notification_address (tenant_id, id, principal_id, kind, channel, address_sealed, address_index, verified_at, created_at)
    values (${tenantId}, ${id}, ${personId}, ${kind}, ${channel}, ${yield* addressColumn.seal(id, address)}, ${index}, ${verified ? at : null}, ${at})
    on conflict do nothing`
  return id
})

/** The instance of the city's messengers that an address of push is for; the first one where nobody says. */
export const pushChannel = Effect.fnUntraced(function* (wanted: string | undefined) {
  const found = [...(yield* Messengers)].filter(([, one]) => one.channel === "push").map(([name]) => name)
  const name = wanted === undefined ? found[0] : found.find((one) => one === wanted)
  return (
    name ??
    (yield* new InvalidInput({
      issues: [
        { pointer: "/channel", detail: `The city sends no push there. Of these: ${found.join(", ") || "none"}.` }
      ]
    }))
  )
})

/** Forgets one of somebody's addresses. */
export const removeAddress = Effect.fn("notifications.removeAddress")(function* (
  personId: string,
  kind: Address["kind"],
  id: string
) {
  const { sql, tenantId } = yield* TenantTx
  const gone = yield* sql`
    delete from mahalla.notification_address
    where tenant_id = ${tenantId} and principal_id = ${personId} and kind = ${kind} and id = ${id} returning id`
  if (gone.length === 0) return yield* new NotFound({ what: kind === "push" ? "push subscription" : "address", id })
})

/** Puts a mailbox in the place of the one before, and asks there whether it is theirs. */
export const setEmail = Effect.fn("notifications.setEmail")(function* (personId: string, address: string) {
  const { sql, tenantId } = yield* TenantTx
  const id = yield* keepAddress({ personId, kind: "email", channel: null, address, verified: false })
  yield* sql`
    delete from mahalla.notification_address
    where tenant_id = ${tenantId} and principal_id = ${personId} and kind = 'email' and id <> ${id}`
  const [row] = yield* addressesOf(personId, "email")
  if (row!.verifiedAt === null)
    yield* enqueue([{ topic: "notifications.confirm-email", body: { addressId: id }, uniqueKey: id }])
  return row!
})

/** The mailbox is theirs: somebody who reads it says so. */
export const proveEmail = Effect.fnUntraced(function* (addressId: string) {
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql`
    update mahalla.notification_address set verified_at = coalesce(verified_at, ${at}::timestamptz)
    where tenant_id = ${tenantId} and id = ${addressId} and kind = 'email' returning id`
  return rows.length > 0
})
