/** The end of a person: what is open is waited for, then everything goes in one transaction. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { inTransactionOf, PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineJob } from "../jobs/Job.ts"
import { PersonParts } from "./registry.ts"
import { loadRequest, PersonErased } from "./requests.ts"

/** Ids of parts that something must end in first. */
const openParts = Effect.fnUntraced(function* (personId: string) {
  const open: Array<string> = []
  for (const { id, isOpen } of yield* PersonParts) if (isOpen !== undefined && (yield* isOpen(personId))) open.push(id)
  return open
})

/** Everything of the person, in the platform's transaction: what is insert-only for those who serve requests ends here too. */
const eraseAll = Effect.fnUntraced(function* (requestId: string) {
  const { sql, tenantId } = yield* TenantTx
  const request = yield* loadRequest(requestId, true)
  if (request === undefined || request.state !== "waiting") return
  const { principalId } = request
  for (const part of yield* PersonParts) yield* part.erase(principalId)
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.person_request set state = 'done', waits_for = null, finished_at = ${now} where tenant_id = ${tenantId} and id = ${requestId}`
  // Copies that they had made go too, and one that is being made is given up.
  yield* sql`
    update mahalla.person_request set expires_at = ${now}
    where tenant_id = ${tenantId} and principal_id = ${principalId} and kind = 'export' and blob_key is not null`
  yield* sql`
    update mahalla.person_request set state = 'failed', finished_at = ${now}
    where tenant_id = ${tenantId} and principal_id = ${principalId} and kind = 'export' and state = 'waiting'`
  yield* appendEvent(PersonErased, { requestId, principalId })
})

export const eraseJob = defineJob({
  topic: "person.erase",
  payload: Schema.Struct({ requestId: Schema.String }),
  timeout: 120_000,
  run: ({ requestId }, { tenantId }) =>
    Effect.gen(function* () {
      const waiting = yield* withTenant(tenantId)(
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          const request = yield* loadRequest(requestId)
          if (request === undefined || request.state !== "waiting") return true
          const open = yield* openParts(request.principalId)
          if (open.length === 0) return false
          yield* sql`
            update mahalla.person_request set waits_for = ${open.join(" ")} where tenant_id = ${tenantId} and id = ${requestId}`
          return true
        })
      )
      // The sweeper asks again.
      if (waiting) return
      yield* withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => inTransactionOf(tenantId, sql, eraseAll(requestId))))
    })
})
