/** Who a broadcast is for: in the order of their ids, a page at a time, so that a million of them need no more memory than a thousand. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Messengers } from "../../kernel/ports.ts"
import { type Broadcast, wordsOfBroadcast } from "./broadcasts.ts"
import { cityFacts } from "./city.ts"
import { chainOf } from "./format.ts"
import { choicesOf, type Listener } from "./listeners.ts"
import { rendered } from "./plan.ts"

type Wanted = Pick<Broadcast, "category" | "filters" | "territoryId">

/** The next people after one, active ones only; each with what a message to them needs. Key: the primary key of principals. */
export const nextRecipients = Effect.fnUntraced(function* (
  { category, filters, territoryId }: Wanted,
  after: string | null,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  const { languages, optedIn, role } = filters
  const now = new Date(yield* Clock.currentTimeMillis)
  const where = [
    sql`p.tenant_id = ${tenantId}`,
    sql`p.status = 'active'`,
    sql`p.kind in ('person', 'staff')`,
    ...(after === null ? [] : [sql`p.id > ${after}`]),
    ...(languages === undefined
      ? []
      : [
          sql`(p.language = any (${languages}::text[]) or split_part(p.language, '-', 1) = any (${languages}::text[]))`
        ]),
    ...(optedIn === true ? [sql`jsonb_array_length(f.categories -> ${category}::text -> 'channels') > 0`] : []),
    ...(territoryId === null
      ? []
      : [
          sql`f.territory_id in (select id from mahalla.territory where tenant_id = ${tenantId} and ${territoryId}::uuid = any (path))`
        ]),
    ...(role === undefined
      ? []
      : [
          sql`exists (select from mahalla.role_grant g where g.tenant_id = p.tenant_id and g.principal_id = p.id and g.role = ${role}
            and (g.until is null or g.until > ${now}))`
        ])
  ]
  return yield* sql<Listener>`
    select p.id, p.language, p.phone_sealed is not null or p.phone is not null as "hasPhone",
      'immediately' as digest, 18 as "digestHour", 5 as "digestDay", coalesce(f.categories, '{}') as categories,
      coalesce((select jsonb_agg(jsonb_build_object('id', a.id, 'kind', a.kind, 'channel', a.channel) order by a.id)
        from mahalla.notification_address a
        where a.tenant_id = p.tenant_id and a.principal_id = p.id and a.verified_at is not null), '[]') as addresses
    from mahalla.principal p
    left join mahalla.notification_preference f on f.tenant_id = p.tenant_id and f.principal_id = p.id
    where ${sql.and(where)} order by p.id limit ${limit}`
})

export interface Estimate {
  /** People whom it is for. */
  readonly people: number
  /** Of those, whom a channel reaches. */
  readonly recipients: number
  /** SMS parts and other messages. */
  readonly parts: number
  /** By what a part has cost on this channel in the last 30 days, in minor units; null where nothing is known. */
  readonly cost: string | null
  readonly channels: ReadonlyArray<{ readonly channel: string; readonly recipients: number; readonly parts: number }>
}

/** Characters of the GSM alphabet; any other makes a message UCS-2. */
const gsm = /^[\n\r !"#$%&'()*+,\-./0-9:;<=>?@A-Z_a-z¡£¤¥§¿ÄÅÆÇÉÑÖØÜßàäåæèéìñòöøùüΓΔΘΛΞΠΣΦΨΩ]*$/

/** SMS that a text counts as. */
export const partsOf = (text: string): number => {
  const [single, joined] = gsm.test(text) ? [160, 153] : [70, 67]
  return text.length <= single ? 1 : Math.ceil(text.length / joined)
}

/** People looked at for an estimate; of more the rest is reckoned from these. */
const page = 5_000

/** How many people, messages and how much money; walks through everybody it is for. */
export const estimateOf = Effect.fn("notifications.estimate")(function* (broadcast: Broadcast) {
  const { sql, tenantId } = yield* TenantTx
  const city = yield* cityFacts
  const messengers = yield* Messengers
  const words = yield* wordsOfBroadcast(broadcast)
  const channels = new Map<string, { recipients: number; parts: number }>()
  const known = new Map<string, number>()
  let [people, recipients] = [0, 0]
  for (let after: string | null = null; ;) {
    const found: ReadonlyArray<Listener> = yield* nextRecipients(broadcast, after, page)
    for (const person of found) {
      people++
      const targets = choicesOf(
        person,
        { category: broadcast.category, channels: broadcast.channels ?? undefined },
        messengers,
        city.settings
      )[0]
      if (targets === undefined) continue
      recipients++
      for (const { channel, kind } of targets) {
        const name = `${kind} ${person.language}`
        const parts: number =
          known.get(name) ??
          (kind === "sms" || kind === "outbox"
            ? partsOf(
                rendered({ words, values: () => ({ city: city.name }) }, kind, chainOf(person.language, city.language))
                  .text
              )
            : 1)
        known.set(name, parts)
        const sum = channels.get(channel) ?? { recipients: 0, parts: 0 }
        channels.set(channel, { recipients: sum.recipients + 1, parts: sum.parts + parts })
      }
    }
    after = found.at(-1)?.id ?? null
    if (found.length < page) break
  }
  const prices = yield* sql<{ channel: string; price: number }>`
    select channel, (sum(cost) / sum(parts))::float8 as price from mahalla.message_total
    where tenant_id = ${tenantId} and day > current_date - 30 and currency <> '' and parts > 0 and cost > 0 group by channel`
  const list = [...channels].map(([channel, sum]) => ({ channel, ...sum }))
  const priced = list.map(({ channel, parts }) => (prices.find((one) => one.channel === channel)?.price ?? 0) * parts)
  return {
    people,
    recipients,
    parts: list.reduce((sum, { parts }) => sum + parts, 0),
    cost: prices.length === 0 ? null : String(Math.round(priced.reduce((sum, one) => sum + one, 0))),
    channels: list
  } satisfies Estimate
})
