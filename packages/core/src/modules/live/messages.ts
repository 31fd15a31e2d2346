/** What is said over the WebSocket `/v1/live`: one JSON object in each message. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { issuesOf } from "../../kernel/cases/schema.ts"
import { type ProblemAnswer, problem, registerProblems } from "../../kernel/http/problems.ts"
import { EventFilter, Place } from "../../kernel/live/EventFilter.ts"
import { ReadingFilter } from "../telemetry/index.ts"

/** The client's name for a subscription. */
const SubscriptionId = Schema.String.check(Schema.isPattern(/^[\x20-\x7e]{1,64}$/))

const Subscription = Schema.Union([
  Schema.Struct({ id: SubscriptionId, to: Schema.Literal("readings"), ...ReadingFilter.fields }),
  Schema.Struct({
    id: SubscriptionId,
    to: Schema.Literal("events"),
    ...EventFilter.fields,
    /** Place in the order after which to go on. Default: now. */
    after: Schema.optionalKey(Place)
  })
])
export type Subscription = typeof Subscription.Type

export type Said =
  | { readonly kind: "token"; readonly token: string | null }
  | { readonly kind: "subscribe"; readonly subscription: Subscription }
  | { readonly kind: "unsubscribe"; readonly id: string }

const strict = { errors: "all", onExcessProperty: "error" } as const
const decoders = {
  /** Null: a visitor without one. */
  token: Schema.decodeUnknownEffect(
    Schema.Struct({
      token: Schema.NullOr(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._~+/-]{1,8000}=*$/)))
    }),
    strict
  ),
  subscribe: Schema.decodeUnknownEffect(Schema.Struct({ subscribe: Subscription }), strict),
  unsubscribe: Schema.decodeUnknownEffect(Schema.Struct({ unsubscribe: SubscriptionId }), strict)
}

const invalid = (error: Schema.SchemaError) => new InvalidInput({ issues: issuesOf(error).slice(0, 50) })

const unknown = new InvalidInput({
  issues: [{ pointer: "", detail: "Send one of: {token}, {subscribe: {id, to, …}}, {unsubscribe: id}." }]
})

/** Reads a message; fails with `InvalidInput`. */
export const readMessage = Effect.fnUntraced(function* (text: string) {
  const value = yield* Effect.try({ try: () => JSON.parse(text) as unknown, catch: () => unknown })
  if (typeof value !== "object" || value === null) return yield* unknown
  if ("token" in value) {
    const { token } = yield* Effect.mapError(decoders.token(value), invalid)
    return { kind: "token", token } satisfies Said as Said
  }
  if ("subscribe" in value) {
    const { subscribe } = yield* Effect.mapError(decoders.subscribe(value), invalid)
    return { kind: "subscribe", subscription: subscribe } satisfies Said as Said
  }
  if ("unsubscribe" in value) {
    const { unsubscribe } = yield* Effect.mapError(decoders.unsubscribe(value), invalid)
    return { kind: "unsubscribe", id: unsubscribe } satisfies Said as Said
  }
  return yield* unknown
})

/** The subscription that a message means to name, for the answer to one that cannot be read. */
export const idIn = (text: string): string | undefined => {
  const [, id] = /"id"\s*:\s*"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,64})"/.exec(text) ?? []
  return id
}

/** A problem as a message (RFC 9457); `id` where it is about a subscription. */
export const problemMessage = ({ body }: ProblemAnswer, requestId: string, id?: string): string =>
  JSON.stringify({ ...(id === undefined ? {} : { id }), problem: { ...body, requestId } })

export const tooMany = problem(429, "too-many-requests", "A connection has at most 32 subscriptions; end some first.")
export const taken = (id: string) => problem(409, "conflict", `There is a subscription ${id} on this connection.`)

/** There is nothing of this kind to watch. */
export class NoReadings extends Data.TaggedError("NoReadings")<{ readonly message: string }> {}
registerProblems({ NoReadings: (error: NoReadings) => problem(422, "no-readings", error.message) })
