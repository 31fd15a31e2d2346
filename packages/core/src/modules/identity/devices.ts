/** Recognising a device: a random number that the server gives at the first sign-in and the client keeps and shows again. */
import { randomBytes } from "node:crypto"
import bowser from "bowser"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Erased } from "../../kernel/Erased.ts"
import { NewDevices } from "../../kernel/NewDevices.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { phoneColumn } from "../../kernel/personal/people.ts"

/** Form of a device's number: 256 random bits. */
export const devicePattern = /^mdv_[A-Za-z0-9_-]{43}$/

const newDeviceNumber = () => `mdv_${randomBytes(32).toString("base64url")}`

/** Coarse, as "Chrome on Android": enough for its owner to know it by. Null for programs that are no browsers. */
export const deviceName = (userAgent: string | undefined): string | null => {
  if (userAgent === undefined || userAgent === "") return null
  const { browser, os } = bowser.parse(userAgent.slice(0, 512))
  if (browser.name === undefined || browser.name === "") return null
  return (os.name === undefined ? browser.name : `${browser.name} on ${os.name}`).slice(0, 60)
}

export interface Recognised {
  readonly id: string
  /** What the client keeps. */
  readonly number: string
  /** What stands for it here. */
  readonly hash: string
  /** `first`: the person's very first device, which is no news to them. */
  readonly familiarity: "known" | "new" | "first"
}

const hashOf = (keys: Keys["Service"], tenantId: string, number: string) =>
  Buffer.from(keys.mac("device", `${tenantId} ${number}`)).toString("base64url")

/** Whether somebody of this phone has signed in on the device before. One question, so that it takes as long for an unknown phone. */
export const isKnownTo = Effect.fnUntraced(function* (phone: string, number: string) {
  const { sql, tenantId } = yield* TenantTx
  const hash = hashOf(yield* Keys, tenantId, number)
  const rows = yield* sql`
    select from mahalla.sign_in_device d join mahalla.principal p on p.tenant_id = d.tenant_id and p.id = d.principal_id
    where d.tenant_id = ${tenantId} and d.device_hash = ${hash}
      and (p.phone_index = ${yield* phoneColumn.index(phone)} or p.phone = ${phone})`
  return rows.length > 0
})

/** See `NewDevices`. */
const newDevices: (typeof NewDevices)["Service"] = {
  latest: Effect.fnUntraced(function* (principalId, { from, to }) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ at: Date }>`
      select first_used_at as at from mahalla.sign_in_device
      where tenant_id = ${tenantId} and principal_id = ${principalId} and first_used_at > ${from} and first_used_at <= ${to}
        and first_used_at > (select min(first_used_at) from mahalla.sign_in_device where tenant_id = ${tenantId} and principal_id = ${principalId})
      order by first_used_at desc limit 1`
    return rows[0]?.at
  })
}
export const layerNewDevices: Layer.Layer<Erased> = Layer.succeedContext(
  Context.make(NewDevices, newDevices) as Context.Context<Erased>
)

/** Of how many people somebody has signed in on the same device. */
export const peopleOn = Effect.fnUntraced(function* (deviceId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ people: number }>`
    select count(*)::int as people from mahalla.sign_in_device d
    join mahalla.sign_in_device other on other.tenant_id = d.tenant_id and other.device_hash = d.device_hash
    where d.tenant_id = ${tenantId} and d.id = ${deviceId}`
  return row?.people ?? 0
})

/** Finds the device among those the person has used, or adds it. */
export const recognise = Effect.fn("identity.recognise")(function* (
  principalId: string,
  given: string | undefined,
  userAgent: string | undefined
) {
  const { sql, tenantId } = yield* TenantTx
  const keys = yield* Keys
  const number = given ?? newDeviceNumber()
  const hash = hashOf(keys, tenantId, number)
  const name = deviceName(userAgent)
  const now = new Date(yield* Clock.currentTimeMillis)
  const [known] = yield* sql<{ id: string }>`
    update mahalla.sign_in_device set last_used_at = ${now}, name = coalesce(${name}, name)
    where tenant_id = ${tenantId} and principal_id = ${principalId} and device_hash = ${hash} returning id`
  if (known !== undefined) return { id: known.id, number, hash, familiarity: "known" } satisfies Recognised
  const others = yield* sql`
    select from mahalla.sign_in_device where tenant_id = ${tenantId} and principal_id = ${principalId} limit 1`
  const [made] = yield* sql<{ id: string }>`
    insert into mahalla.sign_in_device (tenant_id, id, principal_id, device_hash, name, first_used_at, last_used_at)
    values (${tenantId}, ${yield* newId}, ${principalId}, ${hash}, ${name}, ${now}, ${now})
    on conflict (tenant_id, principal_id, device_hash) do update set last_used_at = excluded.last_used_at
    returning id`
  return { id: made!.id, number, hash, familiarity: others.length === 0 ? "first" : "new" } satisfies Recognised
})
