/**
 * Running a broadcast: people are looked up, their messages written and sending them ordered, a page in each transaction together with how far it
 * came. Whoever goes on after a crash begins where the last transaction ended.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { enqueue, type NewJob } from "../../kernel/jobs/enqueue.ts"
import { defineJob } from "../../kernel/jobs/Job.ts"
import { type Broadcast, loadBroadcast, wordsOfBroadcast } from "./broadcasts.ts"
import { cityFacts } from "./city.ts"
import { type Plan, type PlannedMessage, planFor, writeMessages } from "./plan.ts"
import { quietDaysOf, quietUntil } from "./quiet.ts"
import { nextRecipients } from "./recipients.ts"

/** People in one transaction, and messages in one job. */
export const pageSize = 2_000
const partSize = 100

/** Milliseconds of work in one job; then another one goes on, so that a deployment need not wait for the end. */
const turn = 60_000

const partJobs = (
  { id: broadcastId, urgency }: Pick<Broadcast, "id" | "urgency">,
  ids: ReadonlyArray<string>,
  runAt: number | undefined
): ReadonlyArray<NewJob> =>
  Array.from({ length: Math.ceil(ids.length / partSize) }, (_, place) => {
    const part = ids.slice(place * partSize, (place + 1) * partSize)
    return {
      topic: "notifications.send-part",
      body: { broadcastId, from: part[0]!, to: part.at(-1)! },
      // Behind what single people wait for.
      priority: urgency === "urgent" ? 5 : -10,
      ...(runAt === undefined ? {} : { runAt })
    }
  })

/** When a broadcast that is not urgent may begin: after the city's night. */
const morning = Effect.fnUntraced(function* (urgency: Broadcast["urgency"]) {
  const { settings, timeZone } = yield* cityFacts
  const quiet = urgency === "urgent" ? undefined : quietDaysOf(settings)
  return quiet === undefined ? undefined : quietUntil(yield* Clock.currentTimeMillis, quiet, timeZone)
})

/** One page; false when nothing is left to do. */
export const nextPage = Effect.fn("notifications.broadcastPage")(function* (broadcastId: string) {
  const { sql, tenantId } = yield* TenantTx
  const broadcast = yield* loadBroadcast(broadcastId, true)
  if (broadcast === undefined || broadcast.state !== "running" || broadcast.resolved) return false
  const people = yield* nextRecipients(broadcast, broadcast.reached, pageSize)
  const city = yield* cityFacts
  const plan: Plan = {
    ...{
      source: "broadcast",
      eventId: broadcast.id,
      caseId: null,
      category: broadcast.category,
      urgency: broadcast.urgency
    },
    ...{ channels: broadcast.channels ?? undefined, wait: 0, expiresAt: broadcast.expiresAt },
    words: yield* wordsOfBroadcast(broadcast),
    values: () => ({ city: city.name }),
    known: new Map()
  }
  const rows: Array<PlannedMessage> = []
  let unreachable = 0
  for (const person of people) {
    const own = yield* planFor(person, plan, city)
    if (own.length === 0) unreachable++
    rows.push(...own)
  }
  const made = yield* writeMessages(rows, plan)
  yield* enqueue(
    partJobs(
      broadcast,
      made.toSorted((a, b) => (a < b ? -1 : 1)),
      yield* morning(broadcast.urgency)
    )
  )
  const resolved = people.length < pageSize
  const last = people.at(-1)?.id ?? broadcast.reached
  yield* sql`
    update mahalla.broadcast set reached = ${last}::uuid, resolved = ${resolved}, seen = seen + ${people.length}, queued = queued + ${made.length},
      unreachable = unreachable + ${unreachable}
    where tenant_id = ${tenantId} and id = ${broadcastId}`
  return !resolved
})

export const runBroadcast = defineJob({
  topic: "notifications.broadcast",
  payload: Schema.Struct({ broadcastId: Schema.String }),
  timeout: 300_000,
  run: ({ broadcastId }, job) =>
    Effect.gen(function* () {
      const inside = withTenant(job.tenantId)
      const began = yield* Clock.currentTimeMillis
      while (yield* inside(nextPage(broadcastId)))
        if ((yield* Clock.currentTimeMillis) - began > turn)
          return yield* Effect.asVoid(
            inside(enqueue([{ topic: "notifications.broadcast", body: { broadcastId }, maxAttempts: 100 }]))
          )
    })
})

/** Orders what is left of a broadcast that goes on again. */
export const resendBroadcast = defineJob({
  topic: "notifications.resend",
  payload: Schema.Struct({ broadcastId: Schema.String, after: Schema.NullOr(Schema.String) }),
  run: ({ after, broadcastId }, job) =>
    withTenant(job.tenantId)(
      Effect.gen(function* () {
        const { sql, tenantId } = yield* TenantTx
        const broadcast = yield* loadBroadcast(broadcastId)
        if (broadcast?.state !== "running") return
        // Index: message_open.
        const rows = yield* sql<{ id: string }>`
          select id from mahalla.message where tenant_id = ${tenantId} and event_id = ${broadcastId} and state in ('queued', 'unknown')
            and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${pageSize}`
        const ids = rows.map(({ id }) => id)
        yield* enqueue(partJobs(broadcast, ids, yield* morning(broadcast.urgency)))
        if (ids.length === pageSize)
          yield* enqueue([{ topic: "notifications.resend", body: { broadcastId, after: ids.at(-1)! } }])
      })
    )
})

/** Ends the messages of a cancelled broadcast that nobody has begun to hand over, a page at a time. */
export const cancelMessages = defineJob({
  topic: "notifications.cancel",
  payload: Schema.Struct({ broadcastId: Schema.String }),
  run: ({ broadcastId }, job) =>
    Effect.gen(function* () {
      const cancelPage = Effect.gen(function* () {
        const { sql, tenantId } = yield* TenantTx
        const rows = yield* sql`
          update mahalla.message set state = 'cancelled', detail = 'The broadcast was cancelled.', changed_at = ${new Date(yield* Clock.currentTimeMillis)}
          where tenant_id = ${tenantId} and id in (
            select id from mahalla.message where tenant_id = ${tenantId} and event_id = ${broadcastId} and state in ('queued', 'waiting')
              and claimed_until is null order by id limit ${pageSize} for update skip locked)
          returning 1`
        return rows.length === pageSize
      })
      while (yield* withTenant(job.tenantId)(cancelPage));
    })
})

/** A broadcast whose messages have all been handed over or have ended is done. Index: message_open. */
export const finishBroadcasts = withPlatform(
  Effect.gen(function* () {
    const { sql } = yield* PlatformTx
    const at = new Date(yield* Clock.currentTimeMillis)
    yield* sql`
      update mahalla.broadcast b set state = 'done', ended_at = ${at}, version = version + 1
      where b.state = 'running' and b.resolved and not exists (
        select from mahalla.message m where m.tenant_id = b.tenant_id and m.event_id = b.id and m.state in ('queued', 'waiting'))`
  })
)
