/**
 * Handing one message over. It goes under its own id however often it is tried, so that a channel which can tell sends it once; before
 * each try it is asked again whether it may go: a person's wishes, the night, limits, a broadcast that was stopped.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Messenger, SendOutcome } from "../../ports/Messenger.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { JobFailure, type JobInfo } from "../../kernel/jobs/Job.ts"
import { phoneOf } from "../../kernel/personal/people.ts"
import { Messengers } from "../../kernel/ports.ts"
import { addressColumn } from "./addresses.ts"
import { cityFacts } from "./city.ts"
import { unsubscribeLink } from "./links.ts"
import { type Choices } from "./listeners.ts"
import type { MessageState, Urgency } from "./model.ts"
import { priorityOf } from "./plan.ts"
import { nextDay, quietDaysOf, quietUntil, startOfDay } from "./quiet.ts"
import { settle, settleError, endWithout } from "./settle.ts"
import { spentSince } from "./totals.ts"

interface Pending {
  readonly id: string
  readonly principalId: string
  readonly channel: string
  readonly addressId: string | null
  readonly address_sealed: string | null
  readonly source: "event" | "digest" | "broadcast" | "test"
  readonly category: string
  readonly urgency: Urgency
  readonly language: string
  readonly subject: string | null
  readonly text: string
  readonly html: string | null
  readonly state: MessageState
  readonly attempts: number
  readonly claimedUntil: Date | null
  readonly claimedBy: string | null
  readonly expiresAt: Date | null
  readonly link: string | null
  readonly status: string
  readonly phone: string | null
  readonly phone_sealed: string | null
  readonly quiet: "tenant" | "own" | "none" | null
  readonly quietFrom: number | null
  readonly quietUntil: number | null
  readonly categories: Choices | null
  readonly broadcast: string | null
}

/** Milliseconds that one handing over may take, at the most. */
const claimFor = 90_000

const load = Effect.fnUntraced(function* (messageId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<Pending>`
    select m.id, m.principal_id as "principalId", m.channel, m.address_id as "addressId", a.address_sealed, m.source, m.category, m.urgency,
      m.language, m.subject, m.text, m.html, m.state, m.attempts, m.claimed_until as "claimedUntil", m.claimed_by as "claimedBy", m.expires_at as "expiresAt",
      case when c.id is not null then c.type || '/' || c.id end as link, p.status, p.phone, p.phone_sealed,
      f.quiet, f.quiet_from as "quietFrom", f.quiet_until as "quietUntil", f.categories, b.state as broadcast
    from mahalla.message m
    join mahalla.principal p on p.tenant_id = m.tenant_id and p.id = m.principal_id
    left join mahalla.notification_address a on a.tenant_id = m.tenant_id and a.id = m.address_id and a.verified_at is not null
    left join mahalla.notification_preference f on f.tenant_id = m.tenant_id and f.principal_id = m.principal_id
    left join mahalla.broadcast b on m.source = 'broadcast' and b.tenant_id = m.tenant_id and b.id = m.event_id
    left join mahalla.civic_case c on c.tenant_id = m.tenant_id and c.id = m.case_id
    where m.tenant_id = ${tenantId} and m.id = ${messageId} for update of m`
  return row
})

const addressOf = (row: Pending) => {
  if (row.status !== "active") return Effect.succeed(null)
  if (row.addressId === null) return phoneOf({ id: row.principalId, phone: row.phone, phone_sealed: row.phone_sealed })
  return row.address_sealed === null ? Effect.succeed(null) : addressColumn.open(row.addressId, row.address_sealed)
}

/** Messages to one person in a day that are not urgent. */
const usualPerDay = 50

/** When it may go instead of now, epoch milliseconds; undefined: now. Urgent ones and tests always may. */
const notBefore = Effect.fnUntraced(function* (row: Pending, now: number) {
  const { settings, timeZone } = yield* cityFacts
  const quiet =
    row.quiet === "none"
      ? undefined
      : row.quiet === "own"
        ? () => ({ from: row.quietFrom ?? 0, until: row.quietUntil ?? 0 })
        : quietDaysOf(settings)
  const night = quiet === undefined ? undefined : quietUntil(now, quiet, timeZone)
  if (night !== undefined) return { at: night, because: "It is night where the person is." }
  const { budgetPerDay } = settings
  if (budgetPerDay !== undefined && (yield* spentSince(startOfDay(now, timeZone), timeZone)) >= BigInt(budgetPerDay))
    return { at: nextDay(now, timeZone), because: "What messages may cost in a day is spent." }
  return undefined
})

const isOverDay = Effect.fnUntraced(function* ({ principalId }: Pending, now: number) {
  const { sql, tenantId } = yield* TenantTx
  const { settings, timeZone } = yield* cityFacts
  // Index: message_handed.
  const rows = yield* sql<{ amount: number }>`
    select count(*)::int as amount from mahalla.message
    where tenant_id = ${tenantId} and principal_id = ${principalId} and handed_at >= ${new Date(startOfDay(now, timeZone))}
      and urgency <> 'urgent'`
  return rows[0]!.amount >= (settings.perDay ?? usualPerDay)
})

/** What becomes of a message that is not handed over now. */
type Verdict =
  | { readonly go: "now"; readonly row: Pending; readonly to: string; readonly attempt: number }
  /** Nothing is left to do here. */
  | { readonly go: "done" }
  /** Somebody else has it, until then. */
  | { readonly go: "busy" }

const done = { go: "done" } satisfies Verdict

/** Claims a message for one try, or says what becomes of it instead. */
const claim = Effect.fnUntraced(function* (messageId: string, jobId: string) {
  const { sql, tenantId } = yield* TenantTx
  const row = yield* load(messageId)
  if (row === undefined || (row.state !== "queued" && row.state !== "unknown")) return done
  const now = yield* Clock.currentTimeMillis
  if (row.claimedUntil !== null && row.claimedUntil.getTime() > now && row.claimedBy !== jobId)
    return { go: "busy" } satisfies Verdict
  const end = (state: "cancelled" | "expired" | "failed" | "suppressed", detail: string) =>
    Effect.as(endWithout(row.id, state, detail), done)
  if (row.broadcast === "cancelled") return yield* end("cancelled", "The broadcast was cancelled.")
  // Whoever lets it go on sends what is left.
  if (row.broadcast === "paused" || row.broadcast === "approval") return done
  if (row.expiresAt !== null && row.expiresAt.getTime() <= now) return yield* end("expired", "It is no news any more.")
  const to = yield* addressOf(row)
  if (to === null) return yield* end("failed", "The person has no address any more.")
  const wishes =
    row.categories !== null && Object.hasOwn(row.categories, row.category) ? row.categories[row.category] : undefined
  if (row.source !== "test" && wishes?.channels?.length === 0)
    return yield* end("suppressed", "The person wants no messages of this category.")
  if (row.source !== "test" && row.urgency !== "urgent") {
    const later = yield* notBefore(row, now)
    if (later !== undefined) {
      const at = new Date(later.at)
      yield* sql`
        update mahalla.message set send_at = ${at}, detail = ${later.because}, changed_at = ${new Date(now)}
        where tenant_id = ${tenantId} and id = ${row.id}`
      const priority = priorityOf(row.urgency)
      yield* enqueue([{ topic: "notifications.send", body: { messageId: row.id }, runAt: later.at, priority }])
      return done
    }
    if (yield* isOverDay(row, now))
      return yield* end("suppressed", "The person has had as many messages today as a day may bring.")
  }
  const attempt = row.attempts + 1
  yield* sql`
    update mahalla.message set attempts = ${attempt}, claimed_until = ${new Date(now + claimFor)}, claimed_by = ${jobId}, changed_at = ${new Date(now)}
    where tenant_id = ${tenantId} and id = ${row.id}`
  yield* sql`
    insert into mahalla.message_attempt (tenant_id, message_id, attempt, state, began_at)
    values (${tenantId}, ${row.id}, ${attempt}, 'handing-over', ${new Date(now)})`
  return { go: "now", row, to, attempt } satisfies Verdict
})

const classOf = { event: "notice", digest: "notice", test: "notice", broadcast: "bulk" } as const

const messageOf = Effect.fnUntraced(function* (tenantId: string, row: Pending, to: string) {
  const city = yield* withTenant(tenantId)(cityFacts)
  const [type, caseId] = row.link?.split("/") ?? []
  const link =
    type === undefined ? undefined : city.settings.caseLink?.replaceAll("{type}", type).replaceAll("{id}", caseId ?? "")
  const unsubscribe = yield* unsubscribeLink(city.tenant, row.principalId, row.category)
  return {
    id: row.id,
    tenantId,
    to,
    text: row.text,
    language: row.language,
    class: classOf[row.source],
    ...(row.subject === null ? {} : { subject: row.subject }),
    ...(row.html === null ? {} : { html: row.html }),
    ...(link === undefined ? {} : { link }),
    ...(unsubscribe === undefined ? {} : { unsubscribe }),
    ...(row.expiresAt === null ? {} : { expiresAt: row.expiresAt.getTime() })
  } satisfies Parameters<Messenger["Service"]["send"]>[0]
})

/** Tries whose answer was lost, after which nobody asks again. */
const unknownTries = 5

/** The job that sends it. */
type Tries = Pick<JobInfo, "id" | "attempt" | "maxAttempts">

/** Hands a message over. Fails with a `JobFailure` where it is worth another try. */
export const sendOne = Effect.fn("notifications.send")(function* (tenantId: string, messageId: string, tries: Tries) {
  const inside = withTenant(tenantId)
  const verdict = yield* inside(claim(messageId, tries.id))
  if (verdict.go === "done") return
  if (verdict.go === "busy")
    return yield* new JobFailure({ message: `Message ${messageId} is being handed over elsewhere.`, permanent: false })
  const { attempt, row, to } = verdict
  const last = tries.attempt >= tries.maxAttempts
  const messenger = (yield* Messengers).get(row.channel)
  if (messenger === undefined) {
    const message = `The city has no messenger ${row.channel} any more. Add it again or discard the message.`
    yield* inside(settleError(row, attempt, { reason: "Unavailable", message }, last))
    return yield* new JobFailure({ message, permanent: false })
  }
  const sent = yield* Effect.result(messenger.send(yield* messageOf(tenantId, row, to)))
  if (sent._tag === "Failure") {
    const final = last || sent.failure.reason === "InvalidRequest"
    yield* inside(settleError(row, attempt, sent.failure, final))
    return yield* final ? Effect.void : Effect.fail(new JobFailure({ message: sent.failure.message, permanent: false }))
  }
  const outcome: SendOutcome = sent.success
  yield* inside(settle(row, attempt, outcome))
  if (outcome.state === "unknown" && attempt < unknownTries && !last)
    return yield* new JobFailure({
      message: `What became of message ${messageId} is not known; it is asked again under its id.`,
      permanent: false
    })
})
