/** `Idempotency-Key` on a POST: the first answer is given again to whoever repeats the request. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { withIdempotency } from "../idempotency/idempotency.ts"
import { Actor } from "../policy/Principal.ts"

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
  return { ...answer, headers: replayed ? { "idempotency-replayed": "true" } : ({} as Record<string, string>) }
})
