/** Who stands behind a session's token or an app's key: read together with the principal, so that both count from the next request on. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Database } from "../kernel/db/Database.ts"
import { gathering } from "../kernel/db/gathering.ts"
import { hashOfApiKey } from "../kernel/http/apiKeys.ts"
import { Unauthorized } from "../kernel/http/Authentication.ts"
import type { AccessClaims } from "../kernel/http/tokens.ts"
import { type Found, loadPrincipal, principalFrom } from "../kernel/policy/load.ts"
import { RoleBook } from "../kernel/policy/roles.ts"

interface Question {
  readonly tenant: string
  readonly principal: string
  readonly session: string
  /** The version of the city's roles that is known here. */
  readonly known: string | null
}

interface SessionRow {
  readonly found: Found | null
  /** What the second factor stands at; null when the session is not in force. */
  readonly state: "none" | "pending" | "passed" | null
}

type Ask = (question: Question) => Effect.Effect<SessionRow, SqlError>
const askers = new WeakMap<SqlClient, Ask>()

/** One per database. Only tokens of the identity module name a session, so its function is there. */
const asker = (app: SqlClient): Ask => {
  const known = askers.get(app)
  if (known !== undefined) return known
  const made = gathering((asked: ReadonlyArray<Question>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const all = JSON.stringify(asked)
      return app<SessionRow>`
          select found, state from rows from
            (mahalla.actors_of(${all}::text::jsonb), mahalla.session_states(${all}::text::jsonb, ${new Date(now)}))
            as given (place, found, again, state)`
    })
  )
  askers.set(app, made)
  return made
}

/** The principal of a verified access token, and what the second factor of its session stands at. */
export const loadSession = Effect.fnUntraced(function* ({ principalId, sessionId, tenantId }: AccessClaims) {
  // The platform's access to a city: it was opened with a reason, and what it may ends by itself.
  if (sessionId === undefined) return { actor: yield* loadPrincipal(tenantId, principalId), state: "passed" as const }
  const { app } = yield* Database
  const known = (yield* RoleBook).known(tenantId)
  const question = { tenant: tenantId, principal: principalId, session: sessionId, known: known.version }
  const { found, state } = yield* asker(app)(question)
  const principal = yield* principalFrom(tenantId, principalId, found, known)
  if (state === null) return yield* new Unauthorized({ message: "This session has ended. Sign in again." })
  return { actor: { ...principal, sessionId }, state }
})

/** The app whose key it is, held to the key's scopes: one round trip too, in which the key's use is written down. */
export const loadKeyHolder = Effect.fnUntraced(function* (tenantId: string, key: string) {
  const refused = new Unauthorized({
    message: "This key is not valid here, or not any more. Ask whoever gave it to you."
  })
  const hash = hashOfApiKey(key)
  if (hash === undefined) return yield* refused
  const { app } = yield* Database
  const known = (yield* RoleBook).known(tenantId)
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* app<{ holder: string; scopes: ReadonlyArray<string>; found: Found | null }>`
    select k.holder, k.scopes, mahalla.actor_of(${tenantId}, k.holder, ${known.version}) as found
    from mahalla.use_api_key(${tenantId}, ${hash}, ${now}) k`
  if (row === undefined) return yield* refused
  return { ...(yield* principalFrom(tenantId, row.holder, row.found, known)), within: row.scopes }
})
