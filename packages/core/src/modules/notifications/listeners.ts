/** People as notifications see them: their language, what they have chosen, where they are reached. */
import * as Effect from "effect/Effect"
import type { Messenger } from "../../ports/Messenger.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { NotificationSettings } from "../../kernel/tenancy/Tenant.ts"
import type { ChannelKind } from "./model.ts"

export interface Address {
  readonly id: string
  readonly kind: "email" | "push" | "telegram"
  /** Instance of the messenger; null: any of the kind. */
  readonly channel: string | null
}

export type Choices = Readonly<Record<string, { readonly channels?: ReadonlyArray<ChannelKind> }>>

export interface Listener {
  readonly id: string
  /** BCP 47. */
  readonly language: string
  readonly hasPhone: boolean
  readonly digest: "immediately" | "daily" | "weekly"
  readonly digestHour: number
  readonly digestDay: number
  readonly categories: Choices
  readonly addresses: ReadonlyArray<Address>
}

/** Those of some people who are active, in the order of their ids. */
export const listenersOf = Effect.fnUntraced(function* (people: ReadonlyArray<string>) {
  if (people.length === 0) return []
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<Listener>`
    select p.id, p.language, p.phone_sealed is not null or p.phone is not null as "hasPhone",
      coalesce(f.digest, 'immediately') as digest, coalesce(f.digest_hour, 18) as "digestHour", coalesce(f.digest_day, 5) as "digestDay",
      coalesce(f.categories, '{}') as categories,
      coalesce((select jsonb_agg(jsonb_build_object('id', a.id, 'kind', a.kind, 'channel', a.channel) order by a.id)
        from mahalla.notification_address a
        where a.tenant_id = p.tenant_id and a.principal_id = p.id and a.verified_at is not null), '[]') as addresses
    from mahalla.principal p
    left join mahalla.notification_preference f on f.tenant_id = p.tenant_id and f.principal_id = p.id
    where p.tenant_id = ${tenantId} and p.status = 'active' and p.id = any (${people}::uuid[]) order by p.id`
})

/** Where one message goes. */
export interface Target {
  /** Instance name of the messenger. */
  readonly channel: string
  readonly kind: ChannelKind
  /** Null: the phone of the account. */
  readonly addressId: string | null
}

/** Without a word of the city's or the person's. */
const usual: ReadonlyArray<ChannelKind> = ["sms", "outbox"]

export interface Wishes {
  readonly category: string
  /** A rule's or a broadcast's order, where the person has none. */
  readonly channels?: ReadonlyArray<ChannelKind> | undefined
}

/** The channels that reach somebody, the first choice first; a kind with several addresses, as push, is several targets of one choice. */
export const choicesOf = (
  person: Pick<Listener, "addresses" | "categories" | "hasPhone">,
  { category, channels }: Wishes,
  messengers: ReadonlyMap<string, Pick<Messenger["Service"], "channel">>,
  settings: NotificationSettings
): ReadonlyArray<ReadonlyArray<Target>> => {
  const own = Object.hasOwn(person.categories, category) ? person.categories[category]!.channels : undefined
  const instances = (kind: ChannelKind) =>
    [...messengers].filter(([, one]) => one.channel === kind).map(([name]) => name)
  return (own ?? channels ?? settings.channels ?? usual)
    .map((kind): ReadonlyArray<Target> => {
      const [first] = instances(kind)
      if (first === undefined) return []
      if (kind === "sms" || kind === "outbox") return person.hasPhone ? [{ channel: first, kind, addressId: null }] : []
      return person.addresses
        .filter((address) => address.kind === kind)
        .map((address) => ({ channel: address.channel ?? first, kind, addressId: address.id }))
        .filter(({ channel }) => messengers.get(channel)?.channel === kind)
    })
    .filter((targets) => targets.length > 0)
}
