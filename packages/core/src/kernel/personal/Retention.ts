/**
 * How long each kind of data is kept. A rule finds what is older than its days and takes it away, a batch at a time; a tenant may set
 * other days for it, or none: then it is kept.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { inTransactionOf, PlatformTx, withPlatform } from "../db/Database.ts"
import type { Erased } from "../Erased.ts"
import { listTenants } from "../tenancy/resolve.ts"
import type { Tenant } from "../tenancy/Tenant.ts"

export interface RetentionRule {
  /** Its name in a tenant's settings, as `messages`. */
  readonly id: string
  /** Days without a setting; null: kept. */
  readonly days: number | null
  /** Rows that are older than a moment; inside the tenant, as the platform. */
  readonly due: (before: Date) => Effect.Effect<number, unknown, Erased>
  /** Takes away at most so many of them and gives how many; 0: nothing is left to do. */
  readonly drop: (before: Date, limit: number) => Effect.Effect<number, unknown, Erased>
}

/** Every rule of this city. */
export const RetentionRules = Context.Reference<ReadonlyArray<RetentionRule>>("@mahalla/kernel/RetentionRules", {
  defaultValue: () => []
})

const batch = 500
/** Batches of one rule and tenant in one turn, so that no other schedule waits for long. */
const most = 20

const inside = <A, E, R>(tenantId: string, self: Effect.Effect<A, E, R>) =>
  withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => inTransactionOf(tenantId, sql, self)))

/** Days that a rule keeps in a tenant. */
export const daysOf = (tenant: Pick<Tenant, "settings">, rule: RetentionRule): number | null => {
  const own = tenant.settings.retention?.[rule.id]
  return own === undefined ? rule.days : own
}

const beforeOf = (now: number, days: number) => new Date(now - days * 86_400_000)

export interface RetentionState {
  readonly kind: string
  /** Null: kept. */
  readonly days: number | null
  readonly defaultDays: number | null
  /** What the next turns would take away. */
  readonly due: number
}

/** What would be taken away now, without doing it. */
export const retentionOf = Effect.fn("retentionOf")(function* (tenant: Tenant) {
  const now = yield* Clock.currentTimeMillis
  return yield* Effect.forEach(yield* RetentionRules, (rule) =>
    Effect.gen(function* () {
      const days = daysOf(tenant, rule)
      const due = days === null ? 0 : yield* inside(tenant.tenantId, rule.due(beforeOf(now, days)))
      return { kind: rule.id, days, defaultDays: rule.days, due } satisfies RetentionState
    })
  )
})

/** Takes away what is too old in one tenant, and gives how many rows that were by kind; two at once take different rows. */
export const sweepTenant = Effect.fn("sweepTenant")(function* (tenant: Tenant) {
  const now = yield* Clock.currentTimeMillis
  const gone: Record<string, number> = {}
  for (const rule of yield* RetentionRules) {
    const days = daysOf(tenant, rule)
    if (days === null) continue
    for (let turn = 0; turn < most; turn++) {
      const dropped = yield* inside(tenant.tenantId, rule.drop(beforeOf(now, days), batch)).pipe(
        Effect.catchCause((cause) =>
          Effect.as(Effect.logWarning(`Retention of ${rule.id} failed and is tried again`, cause), 0)
        )
      )
      if (dropped > 0) gone[rule.id] = (gone[rule.id] ?? 0) + dropped
      if (dropped < batch) break
    }
  }
  return gone
})

/** One turn over all tenants. */
export const sweepRetention = Effect.gen(function* () {
  for (const tenant of yield* listTenants) yield* sweepTenant(tenant)
})
