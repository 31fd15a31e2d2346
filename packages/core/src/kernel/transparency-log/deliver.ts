/**
 * Checkpoints go to people: by webhook and by e-mail, the newest of each tenant, for it covers all before it. What could not be handed over is
 * tried again, later each time, for as long as it takes; where it stands is in the database, so a restart repeats at most one.
 */
import { createHash } from "node:crypto"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { PlatformTx, withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { newId } from "../ids.ts"
import { mask } from "../mask.ts"
import { makeInside } from "../outward/address.ts"
import { requestOutward } from "../outward/post.ts"
import { Messengers } from "../ports.ts"
import { CheckpointRefused } from "./events.ts"

export interface DeliveryOptions {
  /** Addresses that take a POST of each checkpoint. */
  readonly webhooks: ReadonlyArray<string>
  /** Who gets them by e-mail, and seconds between two to the same person at least. */
  readonly emails: ReadonlyArray<string>
  readonly emailEvery: number
  /** Inside networks that webhooks may be in. */
  readonly outwardNetworks: ReadonlyArray<string>
}

interface Due {
  readonly tenantId: string
  readonly name: string
  readonly size: bigint
  readonly signed: string
  readonly failures: number
}

/** Where checkpoints go, and how one is handed over there. Fails with words for the operator, and whether it was refused for good. */
interface Target {
  readonly id: string
  /** For people; no secret in it. */
  readonly where: string
  /** Seconds between two. */
  readonly every: number
  readonly send: (due: Due) => Effect.Effect<void, { readonly message: string; readonly refused: boolean }, Messengers>
}

const failed = (message: string, refused = false) => ({ message, refused })

/** Compact JWS; the answer's body means nothing. Anything but 2xx is a failure, a redirect too. */
const webhook =
  (url: string, isInside: (address: string) => boolean): Target["send"] =>
  ({ signed }) =>
    Effect.gen(function* () {
      const request = { url, body: signed, headers: { "content-type": "application/jose" }, isInside }
      const { status } = yield* Effect.mapError(requestOutward(request), ({ message, reason }) =>
        failed(message, reason === "Forbidden")
      )
      if (status >= 200 && status < 300) return
      const later = status === 408 || status === 425 || status === 429 || status >= 500
      return yield* Effect.fail(failed(`It answered ${status}.`, !later))
    })

const letter = ({
  name,
  signed,
  size
}: Due) => `This is the newest signed checkpoint of the log of ${name}: ${size} events.

Keep it. Whoever has it can check later that nothing which happened until now was changed or left out:

  mahalla audit verify EXPORT --checkpoint FILE

FILE has the line between the marks, alone or below earlier ones.

-----BEGIN CHECKPOINT-----
${signed}
-----END CHECKPOINT-----
`

const email =
  (to: string): Target["send"] =>
  (due) =>
    Effect.gen(function* () {
      const messenger = [...(yield* Messengers).values()].find(({ channel }) => channel === "email")
      if (messenger === undefined)
        return yield* Effect.fail(
          failed("The city has no plugin for e-mail. Add email({ … }) of @mahalla/email.", true)
        )
      const message = {
        id: yield* newId,
        tenantId: due.tenantId,
        to,
        subject: `Checkpoint of ${due.name}: ${due.size} events`,
        text: letter(due),
        language: "en",
        class: "notice"
      } as const
      const outcome = yield* Effect.mapError(messenger.send(message), (error) => failed(error.message))
      if (outcome.state !== "accepted") return yield* Effect.fail(failed(outcome.message, outcome.state === "refused"))
    })

/** Throws where a network is none: a mistake of the configuration. */
const targetsOf = (options: DeliveryOptions): ReadonlyArray<Target> => {
  const isInside = makeInside(options.outwardNetworks)
  const id = (text: string) => createHash("sha256").update(text).digest("hex")
  return [
    ...options.webhooks.map((url): Target => ({
      id: id(`webhook ${url}`),
      where: URL.canParse(url) ? new URL(url).host : "webhook",
      every: 0,
      send: webhook(url, isInside)
    })),
    ...options.emails.map((to): Target => ({
      id: id(`email ${to}`),
      where: `e-mail to ${to.split("@").at(-1)}`,
      every: options.emailEvery,
      send: email(to)
    }))
  ]
}

/** Tenants whose newest checkpoint this target has not got, and for which it is time. */
const dueFor = Effect.fnUntraced(function* ({ every, id }: Target) {
  const { sql } = yield* PlatformTx
  const now = yield* Clock.currentTimeMillis
  return yield* sql<Due>`
    select head.tenant_id as "tenantId", tenant.name, signed.size, signed.signed, coalesce(sent.failures, 0) as failures
    from mahalla.event_head head
    join mahalla.tenant tenant on tenant.tenant_id = head.tenant_id
    cross join lateral (select size, signed from mahalla.log_checkpoint where tenant_id = head.tenant_id order by size desc limit 1) signed
    left join mahalla.checkpoint_delivery sent on sent.tenant_id = head.tenant_id and sent.target = ${id}
    where signed.size > coalesce(sent.size, 0) and (sent.retry_at is null or sent.retry_at <= ${new Date(now)})
      and (sent.delivered_at is null or sent.delivered_at <= ${new Date(now - every * 1_000)})
    order by head.tenant_id limit 20`
})

const failures = Metric.counter("mahalla_checkpoint_delivery_failures_total", {
  description: "Checkpoints that could not be handed over by webhook or e-mail",
  incremental: true
})

/** Milliseconds until the next try: five seconds, doubled each time, an hour at most. */
const restAfter = (failed: number) => Math.min(3_600_000, 5_000 * 2 ** Math.min(failed - 1, 10))

/** How often in a row it must have failed for staff to hear of it whatever the reason; a plain no at the first try they hear of at once. */
const patience = 8

const hand = Effect.fnUntraced(function* (target: Target, due: Due) {
  const { tenantId } = due
  const outcome = yield* Effect.result(
    // A fault of ours is a failed try too, and stops no other target.
    target.send(due).pipe(Effect.catchDefect((defect) => Effect.fail(failed(Cause.pretty(Cause.die(defect))))))
  )
  const at = new Date(yield* Clock.currentTimeMillis)
  if (outcome._tag === "Success") {
    return yield* withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) => sql`
          insert into mahalla.checkpoint_delivery (tenant_id, target, size, delivered_at) values (${tenantId}, ${target.id}, ${due.size}, ${at})
          on conflict (tenant_id, target) do update
            set size = excluded.size, delivered_at = excluded.delivered_at, failures = 0, retry_at = null, last_error = null`
      )
    )
  }
  const { refused } = outcome.failure
  // What a receiver answered may repeat anything.
  const message = mask(outcome.failure.message)
  const tries = due.failures + 1
  const next = new Date(at.getTime() + restAfter(tries))
  yield* Metric.update(failures, 1)
  yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        insert into mahalla.checkpoint_delivery (tenant_id, target, failures, retry_at, last_error) values (${tenantId}, ${target.id}, 1, ${next}, ${message})
        on conflict (tenant_id, target) do update set failures = ${tries}, retry_at = ${next}, last_error = ${message}`
    )
  )
  const detail = `The checkpoint of ${due.size} events did not get out (${target.where}): ${message} It is tried again.`
  yield* Effect.logError(detail)
  // Twice at most: a log that speaks of nothing but itself would have a new checkpoint for ever.
  if ((refused && tries === 1) || tries === patience)
    yield* withTenant(tenantId)(appendEvent(CheckpointRefused, { where: target.where, detail }))
})

/** Hands out what is due, each target by itself; gives whether there was anything. */
export const makeDelivery = (options: DeliveryOptions) => {
  const targets = targetsOf(options)
  return Effect.gen(function* () {
    const handed = yield* Effect.forEach(
      targets,
      (target) =>
        Effect.gen(function* () {
          const due = yield* withPlatform(dueFor(target))
          yield* Effect.forEach(due, (one) => hand(target, one), { concurrency: 8, discard: true })
          return due.length
        }),
      // A slow one holds nobody else up.
      { concurrency: 8 }
    )
    return handed.some((amount) => amount > 0)
  })
}
