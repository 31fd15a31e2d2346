/** Transactions that requests of a tenant share. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { Written } from "../db/blind.ts"
import { type Database, TenantTx, withTenant } from "../db/Database.ts"
import { gathering } from "../db/gathering.ts"
import { sent } from "../db/pipelined.ts"

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

const claimsOf = (members: ReadonlyArray<Member>) =>
  JSON.stringify(members.map(({ claim: { key, principalId, route } }) => ({ key, principal: principalId, route })))

/** Writes members whose keys are taken, with the commit. */
const writeMembers = Effect.fnUntraced(function* (members: ReadonlyArray<Member>) {
  const { later, sql } = yield* TenantTx
  for (const { written } of members) {
    for (const [write, rows] of written.waiting) for (const row of rows) later.add(write, row as never)
    for (const effect of written.wakes) later.wake(effect)
  }
  // Each by itself: what dies of one keeps nobody else's from being told.
  yield* Effect.forEach(
    members.flatMap(({ written }) => written.afterCommit),
    (effect) => sql.afterCommit(effect),
    { discard: true }
  )
})

/** The first with each key: a transaction may take a key that it holds, so a second request with it is told apart here. */
const firstOfEach = (members: ReadonlyArray<Member>) => {
  const seen = new Set<string>()
  return members.map(({ claim }) => {
    const key = JSON.stringify(claim)
    return !seen.has(key) && seen.add(key) !== undefined
  })
}

/** Writes all of them in one round trip, for nearly always all keys are free; fails when one is not. */
const writeHoping = Effect.fnUntraced(function* (members: ReadonlyArray<Member>) {
  const { sql } = yield* TenantTx
  const writes = firstOfEach(members)
  const first = members.filter((_, place) => writes[place])
  yield* sent(sql`select mahalla.demand_idempotency_keys(${claimsOf(first)}::text::jsonb)`)
  yield* writeMembers(first)
  return writes
})

/** Writes those whose keys are free and tells which. */
const writeFree = Effect.fnUntraced(function* (members: ReadonlyArray<Member>) {
  const { sql } = yield* TenantTx
  const taken = yield* sql<{ free: boolean }>`
    select free and body_hash is null as free
    from jsonb_array_elements(${claimsOf(members)}::text::jsonb) with ordinality as given (claim, place),
      lateral mahalla.take_idempotency_key((claim ->> 'principal')::uuid, claim ->> 'route', claim ->> 'key')
    order by place`
  const first = firstOfEach(members)
  const writes = members.map((_, place) => taken[place]?.free === true && first[place] === true)
  yield* writeMembers(members.filter((_, place) => writes[place]))
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
          Effect.provideContext(
            Effect.catch(withTenant(tenantId)(writeHoping(members)), () => withTenant(tenantId)(writeFree(members))),
            context
          )
        )
        writers.set(tenantId, made)
        return made
      }
      return { write: (tenantId, claim, written) => writerOf(tenantId)({ claim, written }) }
    })
  )
}
