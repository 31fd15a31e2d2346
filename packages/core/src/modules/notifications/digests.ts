/** Digests: news that waits for its reader's hour and then comes as one message, each piece of it once. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { Messengers } from "../../kernel/ports.ts"
import { cityFacts } from "./city.ts"
import { chainOf } from "./format.ts"
import { choicesOf, type Listener, listenersOf } from "./listeners.ts"
import { type CityFacts, type Plan, rendered, tell } from "./plan.ts"
import { nextDigest } from "./quiet.ts"
import { wordsOfTemplate } from "./templates.ts"

/** Keeps a piece of news for people who want digests. Whom nothing reaches in its category gets none. */
export const keepForDigest = Effect.fnUntraced(function* (
  people: ReadonlyArray<Listener>,
  plan: Plan,
  city: CityFacts
) {
  if (people.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const messengers = yield* Messengers
  const items: Array<{ id: string; principal_id: string; text: string; due: string }> = []
  for (const person of people) {
    const kind = choicesOf(person, plan, messengers, city.settings)[0]?.[0]?.kind
    if (kind === undefined || person.digest === "immediately") continue
    const { text } = rendered(plan, kind, chainOf(person.language, city.language))
    const time = { digest: person.digest, hour: person.digestHour, day: person.digestDay }
    const due = new Date(nextDigest(now, time, city.timeZone)).toISOString()
    items.push({ id: yield* newId, principal_id: person.id, text, due })
  }
  if (items.length === 0) return
  yield* sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(items)}::text::jsonb) as given (id uuid, principal_id uuid, text text, due timestamptz)
    ), kept as (
      insert into mahalla.digest_item (tenant_id, id, principal_id, event_id, case_id, category, text, created_at)
      select ${tenantId}, id, principal_id, ${plan.eventId}, ${plan.caseId}::uuid, ${plan.category}, text, ${new Date(now)}::timestamptz from given
      on conflict do nothing returning principal_id
    )
    insert into mahalla.digest_due (tenant_id, principal_id, due_at)
    select ${tenantId}, principal_id, due from given where principal_id in (select principal_id from kept) order by principal_id
    -- Waits for a digest that is being made, and then begins the next one.
    on conflict (tenant_id, principal_id) do update set due_at = digest_due.due_at`
})

/** People whose digest is due, of one tenant. Index: digest_due_at. */
export const dueDigests = Effect.fnUntraced(function* (now: Date, limit: number) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select principal_id as id from mahalla.digest_due where tenant_id = ${tenantId} and due_at <= ${now}
    order by due_at, principal_id limit ${limit} for update skip locked`
  return rows.map(({ id }) => id)
})

interface Item {
  readonly id: string
  readonly principalId: string
  readonly category: string
  readonly text: string
}

/** Milliseconds after which a digest is old news. */
const lifetime = 2 * 86_400_000

/** Makes the digests of some people in one transaction: the message, the end of what it was made of, and of its hour. */
const makeDigests = Effect.fnUntraced(function* (now: number) {
  const { sql, tenantId } = yield* TenantTx
  const people = yield* dueDigests(new Date(now), perTurn)
  if (people.length === 0) return 0
  const city = yield* cityFacts
  const words = yield* wordsOfTemplate("digest")
  const items = yield* sql<Item>`
    select id, principal_id as "principalId", category, text from mahalla.digest_item
    where tenant_id = ${tenantId} and digest_id is null and principal_id = any (${people}::uuid[]) order by principal_id, id`
  const messengers = yield* Messengers
  const digested: Array<{ id: string; digest_id: string }> = []
  for (const person of yield* listenersOf(people)) {
    const own = items.filter(({ principalId }) => principalId === person.id)
    // One digest for each channel; of a category that was switched off meanwhile there is none.
    const groups = Map.groupBy(
      own,
      ({ category }) => choicesOf(person, { category }, messengers, city.settings)[0]?.[0]?.kind
    )
    for (const [kind, group] of groups) {
      const digestId = yield* newId
      digested.push(...group.map(({ id }) => ({ id, digest_id: digestId })))
      if (kind === undefined) continue
      const values = { count: group.length, items: group.map(({ text }) => text).join("\n"), city: city.name }
      const plan = {
        source: "digest",
        eventId: digestId,
        caseId: null,
        category: group[0]!.category,
        urgency: "digest"
      } as const
      const expiresAt = new Date(now + lifetime)
      yield* tell([person], { ...plan, wait: 0, expiresAt, words, values: () => values }, city)
    }
  }
  yield* sql`
    update mahalla.digest_item item set digest_id = given.digest_id
    from jsonb_to_recordset(${JSON.stringify(digested)}::text::jsonb) as given (id uuid, digest_id uuid)
    where item.tenant_id = ${tenantId} and item.id = given.id`
  yield* sql`delete from mahalla.digest_due where tenant_id = ${tenantId} and principal_id = any (${people}::uuid[])`
  return people.length
})

/** People in one transaction. */
const perTurn = 200

/** The repeated work: everybody whose hour has come, in every tenant. */
export const sendDigests = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  const tenants = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ id: string }>`
        select tenant_id as id from mahalla.tenant t
        where exists (select from mahalla.digest_due d where d.tenant_id = t.tenant_id and d.due_at <= ${new Date(now)})`
    )
  )
  for (const { id } of tenants) while ((yield* withTenant(id)(makeDigests(now))) === perTurn);
}).pipe(Effect.withSpan("notifications.sendDigests"))
