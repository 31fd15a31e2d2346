/** Transactions that requests of a tenant share. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { Written } from "../db/blind.ts"
import { type Database, TenantTx, withTenant } from "../db/Database.ts"
import { gathering } from "../db/gathering.ts"

/** The Idempotency-Key that must be free for it. */
export interface Claim {
  readonly principalId: string
  readonly route: string
  readonly key: string
}

interface Member {
  readonly claim: Claim
  readonly written: Written<unknown>
}

/** Writes those whose keys are free and tells which. */
const writeAll = Effect.fnUntraced(function* (members: ReadonlyArray<Member>) {
  const { later, sql } = yield* TenantTx
  const claims = members.map(({ claim: { key, principalId, route } }) => ({ key, principal: principalId, route }))
  const taken = yield* sql<{ free: boolean }>`
    select free and body_hash is null as free
    from jsonb_array_elements(${JSON.stringify(claims)}::text::jsonb) with ordinality as given (claim, place),
      lateral mahalla.take_idempotency_key((claim ->> 'principal')::uuid, claim ->> 'route', claim ->> 'key')
    order by place`
  // A transaction may take a key that it holds, so the second of two requests with one key is told apart here.
  const seen = new Set<string>()
  const writes = members.map(({ claim, written }, place) => {
    const key = JSON.stringify(claim)
    if (taken[place]?.free !== true || seen.has(key)) return false
    seen.add(key)
    for (const [write, rows] of written.waiting) for (const row of rows) later.add(write, row as never)
    return true
  })
  // Each by itself: what dies of one keeps nobody else's from being told.
  yield* Effect.forEach(
    members.filter((_, place) => writes[place] === true).flatMap(({ written }) => written.afterCommit),
    (effect) => sql.afterCommit(effect),
    { discard: true }
  )
  return writes
})

export class SharedTransactions extends Context.Service<
  SharedTransactions,
  {
    /** Whether it was written; false when its key is not free. When it fails, nothing was written or nobody knows. */
    readonly write: (tenantId: string, claim: Claim, written: Written<unknown>) => Effect.Effect<boolean, SqlError>
  }
>()("@mahalla/kernel/SharedTransactions") {
  static readonly layer = Layer.effect(
    SharedTransactions,
    Effect.gen(function* () {
      const context = yield* Effect.context<Database>()
      const writers = new Map<string, (member: Member) => Effect.Effect<boolean, SqlError>>()
      const writerOf = (tenantId: string) => {
        const known = writers.get(tenantId)
        if (known !== undefined) return known
        const made = gathering((members: ReadonlyArray<Member>) =>
          Effect.provideContext(withTenant(tenantId)(writeAll(members)), context)
        )
        writers.set(tenantId, made)
        return made
      }
      return { write: (tenantId, claim, written) => writerOf(tenantId)({ claim, written }) }
    })
  )
}
