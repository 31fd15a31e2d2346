/**
 * Requests that carry an Idempotency-Key happen once: the answer is stored in the transaction of what they did, and given again to
 * whoever repeats them. A failed request stores nothing, so it may be tried again under its key.
 */
import { hash as digest } from "node:crypto"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { canonical } from "../canonical.ts"
import { InvalidInput } from "../cases/model.ts"
import { writtenBlind } from "../db/blind.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import type { LaterWrite } from "../db/later.ts"
import { sealedColumn } from "../personal/Vault.ts"
import { SharedTransactions } from "./shared.ts"

/** The key was used for another request. */
export class IdempotencyConflict extends Data.TaggedError("IdempotencyConflict")<{ readonly key: string }> {
  override get message() {
    return `The Idempotency-Key ${this.key} was used for a request with another body. Make a new key for a new request.`
  }
}

/** The first request with this key has not ended yet. */
export class IdempotencyInProgress extends Data.TaggedError("IdempotencyInProgress")<{ readonly key: string }> {
  override get message() {
    return `The first request with the Idempotency-Key ${this.key} is still running. Repeat this one in a moment; it will get that one's answer.`
  }
}

export interface IdempotentRequest {
  /** What is called, with the ids in its address: `cases/traffic-report`. */
  readonly route: string
  /** As the client sent it: 1–255 visible ASCII characters. */
  readonly key: string
  /** The decoded body; requests are the same when their JSON is, whatever the order of its fields. */
  readonly body: unknown
  /** Null for an anonymous visitor: all of them share one space of keys, so a key must not be guessable. */
  readonly principalId: string | null
}

export interface IdempotentAnswer<Body> {
  /** HTTP status. */
  readonly status: number
  /** JSON value. */
  readonly body: Body
}

const nobody = "00000000-0000-0000-0000-000000000000"

interface Taken {
  readonly free: boolean
  readonly body_hash: string | null
  readonly status: number | null
  readonly answer: unknown
  readonly answer_sealed: string | null
}

const answerWrite: LaterWrite<Record<string, unknown>> = {
  insert: (sql, json) => sql`
    insert into mahalla.idempotency_key (tenant_id, principal_id, route, key, body_hash, status, answer_sealed, created_at)
    select tenant_id, principal_id, route, key, body_hash, status, answer_sealed, created_at
    from jsonb_to_recordset(${json}::text::jsonb) as given
      (tenant_id uuid, principal_id uuid, route text, key text, body_hash text, status integer, answer_sealed text, created_at timestamptz)`
}

/** An answer repeats what its request has made, personal values and all. */
export const answerColumn = sealedColumn("idempotency_key", "answer")
export const answerRow = (principalId: string, route: string, key: string): string =>
  JSON.stringify([principalId, route, key])

/** The stored answer; null without one, and in clear where it was stored so. */
const storedAnswer = Effect.fnUntraced(function* (row: string, { answer, answer_sealed }: Taken) {
  if (answer_sealed === null) return answer
  return JSON.parse(yield* answerColumn.open(row, answer_sealed)) as unknown
})

const isKey = (key: string) => /^[\x21-\x7e]{1,255}$/.test(key)
const hashOf = (body: unknown) => digest("sha256", canonical(body), "base64url")

const keep = Effect.fnUntraced(function* (
  { key, principalId, route }: IdempotentRequest,
  hash: string,
  answer: IdempotentAnswer<unknown>
) {
  const { later, tenantId } = yield* TenantTx
  const row = answerRow(principalId ?? nobody, route, key)
  later.add(answerWrite, {
    tenant_id: tenantId,
    principal_id: principalId ?? nobody,
    route,
    key,
    body_hash: hash,
    status: answer.status,
    answer_sealed: answer.body == null ? null : yield* answerColumn.seal(row, JSON.stringify(answer.body)),
    created_at: yield* DateTime.nowAsDate
  })
})

/**
 * Runs an effect once for its key, inside the tenant's transaction: two statements more. Later calls with the same body get the stored
 * answer; another body is an `IdempotencyConflict`, a call while the first one runs an `IdempotencyInProgress` without waiting.
 */
export const withIdempotency = Effect.fn("withIdempotency")(function* <Body, E, R>(
  request: IdempotentRequest,
  effect: Effect.Effect<IdempotentAnswer<Body>, E, R>
) {
  const { body, key, route } = request
  if (!isKey(key)) {
    return yield* new InvalidInput({
      issues: [
        {
          pointer: "#headers/idempotency-key",
          detail: "Idempotency-Key is 1 to 255 visible ASCII characters; a UUID is a good one."
        }
      ]
    })
  }
  const { sql } = yield* TenantTx
  const principalId = request.principalId ?? nobody
  const hash = hashOf(body)
  const [taken] = yield* sql<Taken>`select * from mahalla.take_idempotency_key(${principalId}, ${route}, ${key})`
  if (taken === undefined || !taken.free) return yield* new IdempotencyInProgress({ key })
  if (taken.body_hash !== null) {
    if (taken.body_hash !== hash) return yield* new IdempotencyConflict({ key })
    return {
      answer: { status: taken.status!, body: (yield* storedAnswer(answerRow(principalId, route, key), taken)) as Body },
      replayed: true
    }
  }
  const answer = yield* effect
  yield* keep(request, hash, answer)
  return { answer, replayed: false }
})

/**
 * The same in a transaction of the tenant's that requests with other keys share while one is being committed, as long as the effect only
 * writes: what one of them costs PostgreSQL is mostly the statements, not their rows. An effect that asks something or fails, a key that
 * is not free and a transaction that failed are left to `withIdempotency` in a transaction of the request's own, so nothing is
 * answered here but what has happened for the first time.
 */
export const withIdempotencyShared = Effect.fnUntraced(function* <Body, E, R>(
  tenantId: string,
  request: IdempotentRequest,
  effect: Effect.Effect<IdempotentAnswer<Body>, E, R>
) {
  const alone = Effect.suspend(() => withTenant(tenantId)(withIdempotency(request, effect)))
  if (!isKey(request.key)) return yield* alone
  const written = yield* writtenBlind(
    tenantId,
    Effect.tap(effect, (answer) => keep(request, hashOf(request.body), answer))
  )
  if (written === undefined) return yield* alone
  const shared = yield* SharedTransactions
  const claim = { principalId: request.principalId ?? nobody, route: request.route, key: request.key }
  const done = yield* Effect.catchCause(shared.write(tenantId, claim, written), (cause) =>
    Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.succeed(false)
  )
  return done ? { answer: written.value, replayed: false } : yield* alone
})
