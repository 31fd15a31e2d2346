/** Writing down who is told what on which channels: many people at a time, and nobody twice however often it is done. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue, type NewJob } from "../../kernel/jobs/enqueue.ts"
import { Messengers } from "../../kernel/ports.ts"
import type { NotificationSettings } from "../../kernel/tenancy/Tenant.ts"
import { chainOf, type Values } from "./format.ts"
import { choicesOf, type Listener, type Target } from "./listeners.ts"
import type { ChannelKind, Urgency } from "./model.ts"
import { render, type Rendered, type Words } from "./templates.ts"

export interface Plan {
  readonly source: "event" | "digest" | "broadcast" | "test"
  /** The event's, or what stands for it: of one id a person hears once at an address. */
  readonly eventId: string
  readonly caseId: string | null
  readonly category: string
  readonly urgency: Urgency
  readonly channels?: ReadonlyArray<ChannelKind> | undefined
  /** Default `first`. */
  readonly mode?: "first" | "all" | "fallback" | undefined
  /** Seconds that each channel has in `fallback`. */
  readonly wait: number
  readonly expiresAt: Date | null
  readonly words: Words
  readonly values: (chain: ReadonlyArray<string>) => Values
  /** What was rendered already, where everybody's values are the same. */
  readonly known?: Map<string, Rendered>
}

export interface CityFacts {
  readonly name: string
  /** Of the tenant: the language of whoever's own nothing is written in. */
  readonly language: string | undefined
  readonly timeZone: string
  readonly settings: NotificationSettings
}

export interface PlannedMessage {
  readonly id: string
  readonly principal_id: string
  readonly channel: string
  readonly address_id: string | null
  readonly language: string
  readonly subject: string | null
  readonly text: string
  readonly html: string | null
  readonly state: "queued" | "waiting"
  readonly after_id: string | null
  readonly wait_seconds: number | null
}

/** What somebody reads on a channel. */
export const rendered = (
  { known, values, words }: Pick<Plan, "known" | "values" | "words">,
  kind: ChannelKind,
  chain: ReadonlyArray<string>
): Rendered => {
  const name = `${kind} ${chain[0] ?? ""}`
  const before = known?.get(name)
  if (before !== undefined) return before
  const found = words.of(kind, chain)
  const made = render(found?.[0] ?? "en", found?.[1] ?? { text: "" }, values(chain))
  known?.set(name, made)
  return made
}

/** One person's messages; none where nothing reaches them. */
export const planFor = Effect.fnUntraced(function* (person: Listener, plan: Plan, city: CityFacts) {
  const { mode = "first" } = plan
  const all = choicesOf(person, plan, yield* Messengers, city.settings)
  const choices = mode === "first" ? all.slice(0, 1) : all
  const chain = chainOf(person.language, city.language)
  const rows: Array<PlannedMessage> = []
  let before: string | null = null
  for (const targets of choices) {
    const waits: string | null = mode === "fallback" ? before : null
    for (const { addressId, channel, kind } of targets satisfies ReadonlyArray<Target>) {
      const id = yield* newId
      rows.push({
        id,
        principal_id: person.id,
        channel,
        address_id: addressId,
        ...rendered(plan, kind, chain),
        state: waits === null ? "queued" : "waiting",
        after_id: waits,
        wait_seconds: waits === null ? null : plan.wait
      })
      if (targets[0]!.addressId === addressId) before = id
    }
  }
  return rows
})

/** Writes rows in one statement and gives the ids of those that are new. Key: `message_once`. */
export const writeMessages = Effect.fnUntraced(function* (rows: ReadonlyArray<PlannedMessage>, plan: Plan) {
  if (rows.length === 0) return []
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  const made = yield* sql<{ id: string }>`
    insert into mahalla.message (tenant_id, id, principal_id, event_id, case_id, source, channel, address_id, category, urgency,
      language, subject, text, html, state, after_id, wait_seconds, expires_at, created_at, changed_at)
    select ${tenantId}, id, principal_id, ${plan.eventId}, ${plan.caseId}::uuid, ${plan.source}, channel, address_id, ${plan.category}, ${plan.urgency},
      language, subject, text, html, state, after_id, wait_seconds, ${plan.expiresAt}::timestamptz, ${at}::timestamptz, ${at}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as given (id uuid, principal_id uuid, channel text, address_id uuid,
      language text, subject text, text text, html text, state text, after_id uuid, wait_seconds integer)
    on conflict do nothing returning id`
  return made.map(({ id }) => id)
})

/** Of jobs. */
export const priorityOf = (urgency: Urgency): number => (urgency === "urgent" ? 10 : 0)

/** Jobs that send messages, and that look whether they came in time where another channel waits. */
export const sendJobs = (
  rows: ReadonlyArray<Pick<PlannedMessage, "id" | "state" | "after_id" | "wait_seconds">>,
  urgency: Urgency,
  now: number
): ReadonlyArray<NewJob> => {
  const priority = priorityOf(urgency)
  return rows.flatMap((row) => {
    const sends = { topic: "notifications.send", body: { messageId: row.id }, priority }
    const next = rows.find(({ after_id }) => after_id === row.id)
    if (row.state !== "queued") return []
    return next === undefined ? [sends] : [sends, lookJob(row.id, now + (next.wait_seconds ?? 0) * 1_000, urgency)]
  })
}

/** Looks at a message after its time, for the channel that waits for it. */
export const lookJob = (messageId: string, runAt: number, urgency: Urgency): NewJob => ({
  topic: "notifications.fall-back",
  body: { messageId },
  runAt,
  priority: priorityOf(urgency)
})

/** Writes a few people's messages and their jobs. */
export const tell = Effect.fnUntraced(function* (people: ReadonlyArray<Listener>, plan: Plan, city: CityFacts) {
  const rows: Array<PlannedMessage> = []
  for (const person of people) rows.push(...(yield* planFor(person, plan, city)))
  const made = new Set(yield* writeMessages(rows, plan))
  yield* enqueue(
    sendJobs(
      rows.filter(({ id }) => made.has(id)),
      plan.urgency,
      yield* Clock.currentTimeMillis
    )
  )
  return made.size
})
