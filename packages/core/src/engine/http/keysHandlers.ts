/** What stands behind the doors of a city's keys. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { answering } from "../../kernel/http/Door.ts"
import { keyState } from "../../kernel/personal/keyState.ts"
import { SealedParts } from "../../kernel/personal/registry.ts"
import { rotateTenantKey } from "../../kernel/personal/reseal.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { KeysApi } from "./keysApi.ts"

const view = Effect.gen(function* () {
  const state = yield* keyState((yield* Actor).tenantId)
  return {
    ...state,
    keys: state.keys.map((key) => ({ ...key, madeAt: key.madeAt.toISOString() })),
    parts: state.parts.map((part) => ({
      ...part,
      startedAt: part.startedAt.toISOString(),
      finishedAt: part.finishedAt?.toISOString() ?? null
    }))
  }
})

export const keysHandlers = HttpApiBuilder.group(KeysApi, "keys", (handlers) =>
  handlers
    .handle("keyState", () => answering(Effect.andThen(demandEverywhere("key.read"), view)))
    .handle("rotateKey", () =>
      answering(
        Effect.gen(function* () {
          yield* demandEverywhere("key.rotate")
          const actor = yield* Actor
          // Asking again while one is under way begins no other.
          yield* rotateTenantKey(actor.tenantId, yield* SealedParts, actor.id)
          return yield* view
        })
      )
    )
)
