/** One attempt: signed, sent through the guard to an address that is judged now, its answer cut to what is kept. */
import { Resolver } from "node:dns/promises"
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { mask } from "../../kernel/mask.ts"
import { makeInside } from "../../kernel/outward/address.ts"
import { OutwardNetworks } from "../../kernel/outward/networks.ts"
import { bySystem, keepConnections, requestOutward } from "../../kernel/outward/post.ts"
import { contentType, messageId } from "./message.ts"
import { limits } from "./model.ts"
import { isDelivered, type Outcome } from "./schedule.ts"
import { signatures, type Signer } from "./sign.ts"

export interface Attempted extends Outcome {
  /** Epoch milliseconds. */
  readonly at: number
  /** Milliseconds. */
  readonly took: number
  readonly failure: string | null
  readonly excerpt: string | null
}

/**
 * Asks name servers by itself: the system's resolver has four threads for the whole process, and names that nobody answers for would hold all of them.
 * What the name servers do not know may stand in the machine's own table.
 */
const byName = async (host: string): Promise<ReadonlyArray<string>> => {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  const addresses = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []))
  if (addresses.length > 0) return addresses
  const unknown = answers.every(
    ({ status, ...answer }) =>
      status === "rejected" && /ENOTFOUND|ENODATA|ECONNREFUSED/.test(String((answer as { reason?: unknown }).reason))
  )
  if (unknown) return bySystem(host)
  throw new Error("The name servers do not answer for it")
}

/** Text that the database takes, whatever somebody answered. */
const clean = (text: string): string =>
  mask(text.slice(0, limits.excerpt).toWellFormed().replaceAll("\u0000", "\uFFFD"))

const retryAfterOf = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : (Date.parse(header) - now) / 1_000
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined
}

const failureOf = (status: number): string =>
  status >= 300 && status < 400
    ? `It answered ${status}. Redirects are not followed: give the address to which it leads.`
    : `It answered ${status}; only 2xx counts as taken.`

export interface Sendable {
  readonly url: string
  readonly signers: ReadonlyArray<Signer>
  readonly eventId: string
  readonly body: string
}

export interface AttemptsOptions {
  /** Addresses of a name. Default: the name servers', else the machine's own table. */
  readonly resolve?: (host: string) => Promise<ReadonlyArray<string>>
  /** Seconds until an attempt is given up. Default 15. */
  readonly seconds?: number
}

/** Sends with connections that stay open; they are closed with the scope. */
export const makeAttempts = ({ resolve = byName, seconds = limits.answer }: AttemptsOptions = {}) =>
  Effect.gen(function* () {
    const isInside = makeInside(yield* OutwardNetworks)
    const connections = yield* Effect.acquireRelease(
      Effect.sync(() => keepConnections({ idle: 30, free: 256 })),
      ({ close }) => Effect.sync(close)
    )
    // A burst asks once; what is remembered is judged again each time.
    const names = yield* Cache.make({
      capacity: 10_000,
      timeToLive: "10 seconds",
      lookup: (host: string) => Effect.tryPromise({ try: () => resolve(host), catch: (cause) => cause as Error })
    })
    const context = yield* Effect.context<never>()
    const known = (host: string) => Effect.runPromiseWith(context)(Cache.get(names, host))
    return Effect.fnUntraced(function* ({ body, eventId, signers, url }: Sendable) {
      const at = yield* Clock.currentTimeMillis
      const began = yield* Clock.monotonicTimeNanos
      const id = messageId(eventId)
      const timestamp = Math.floor(at / 1_000)
      const answer = yield* Effect.result(
        requestOutward({
          url,
          body,
          headers: {
            "content-type": contentType,
            "webhook-id": id,
            "webhook-timestamp": String(timestamp),
            "webhook-signature": signatures(signers, id, timestamp, body)
          },
          seconds,
          isInside,
          resolve: known,
          connections
        })
      )
      const took = Math.round(Number((yield* Clock.monotonicTimeNanos) - began) / 1e6)
      if (answer._tag === "Failure")
        return {
          at,
          took,
          status: null,
          retryAfter: undefined,
          failure: clean(answer.failure.message),
          excerpt: null
        } satisfies Attempted
      const { body: said, headers, status } = answer.success
      const outcome = { status, retryAfter: retryAfterOf(headers["retry-after"], at) }
      return {
        at,
        took,
        ...outcome,
        failure: isDelivered(outcome) ? null : failureOf(status),
        excerpt: said === "" ? null : clean(said)
      } satisfies Attempted
    })
  })
