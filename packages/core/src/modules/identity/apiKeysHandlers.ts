/** What stands behind the doors for keys. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { IdentityApi } from "./api.ts"
import { createApiKey, demandKeyRights, keyView, listApiKeys, revokeApiKey } from "./apiKeys.ts"

export const apiKeysHandlers = HttpApiBuilder.group(IdentityApi, "apiKeys", (group) =>
  group
    .handle("createApiKey", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandKeyRights(payload)
          let shown: string | null = null
          const make = Effect.map(createApiKey(payload), ({ key, row }) => {
            // Outside of what is kept for a repeated request.
            shown = key
            return { status: 201, body: keyView(row) }
          })
          const { body } = yield* once("api-keys", payload, make)
          return { ...body, key: shown }
        })
      )
    )
    .handle("listApiKeys", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("api-key.read")
          const limit = query.limit ?? 50
          const rows = yield* listApiKeys(query.principal, query.cursor, limit + 1)
          const items = rows.slice(0, limit).map(keyView)
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("revokeApiKey", ({ params }) =>
      inTenant(Effect.andThen(demandEverywhere("api-key.revoke"), revokeApiKey(params.id)))
    )
)
