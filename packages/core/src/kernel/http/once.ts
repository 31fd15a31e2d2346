/** `Idempotency-Key` on a POST: the first answer is given again to whoever repeats the request. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { withTenant } from "../db/Database.ts"
import { withIdempotency, withIdempotencyShared } from "../idempotency/idempotency.ts"
import { Actor } from "../policy/Principal.ts"

/** The header in the API's document. */
export const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  schema: { type: "string", minLength: 1, maxLength: 255 },
  description: "The same key with the same body gives the same answer; with another body 422, while in progress 409."
}

interface Operation {
  readonly parameters?: ReadonlyArray<object>
}

/** What the API document says of an operation that asks `once`: `endpoint.annotate(OpenApi.Transform, takesIdempotencyKey)`. */
export const takesIdempotencyKey = <Entry extends Operation>(operation: Entry): Entry => ({
  ...operation,
  parameters: [...(operation.parameters ?? []), idempotencyKey]
})

/** The same where nothing happens without a key. */
export const needsIdempotencyKey = <Entry extends Operation>(operation: Entry): Entry => ({
  ...operation,
  parameters: [...(operation.parameters ?? []), { ...idempotencyKey, required: true }]
})

const headersOf = (replayed: boolean): Record<string, string> => (replayed ? { "idempotency-replayed": "true" } : {})

/** Runs a POST once for its Idempotency-Key, inside the tenant's transaction; without a key it simply runs. */
export const once = Effect.fnUntraced(function* <A, E, R>(
  route: string,
  body: unknown,
  effect: Effect.Effect<{ readonly status: number; readonly body: A }, E, R>
) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const actor = yield* Actor
  const key = request.headers["idempotency-key"]
  const { answer, replayed } =
    key === undefined
      ? { answer: yield* effect, replayed: false }
      : yield* withIdempotency({ route, key, body, principalId: actor.id }, effect)
  return { ...answer, headers: headersOf(replayed) }
})

/**
 * The same in a transaction that requests of the tenant may share; for what many people do at once and what mostly writes. The effect may run
 * twice, and only one of its runs counts.
 */
export const onceShared = Effect.fnUntraced(function* <A, E, R>(
  route: string,
  body: unknown,
  effect: Effect.Effect<{ readonly status: number; readonly body: A }, E, R>
) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const { id, tenantId } = yield* Actor
  const key = request.headers["idempotency-key"]
  const { answer, replayed } =
    key === undefined
      ? { answer: yield* withTenant(tenantId)(effect), replayed: false }
      : yield* withIdempotencyShared(tenantId, { route, key, body, principalId: id }, effect)
  return { ...answer, headers: headersOf(replayed) }
})
