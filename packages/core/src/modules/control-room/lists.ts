/** The walls of a control room: alerts as they stand now, how many of what kind there are, and many acknowledged at once. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Fragment } from "effect/sql/Statement"
import type { CaseRecord } from "../../kernel/cases/model.ts"
import { caseColumns, type CaseRow, recordOf } from "../../kernel/cases/record.ts"
import { transitionTogether } from "../../kernel/cases/transitionTogether.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { type ProblemAnswer, problemOf } from "../../kernel/http/problems.ts"
import { territoriesOf } from "../../kernel/policy/decide.ts"
import { demand, rolesFor } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { type AlertStatus, type Severity, statusOf } from "./model.ts"

export interface AlertFilter {
  readonly state?: ReadonlyArray<string> | undefined
  readonly severity?: ReadonlyArray<Severity> | undefined
  /** Whether the condition holds. */
  readonly active?: boolean | undefined
  readonly acknowledged?: boolean | undefined
  readonly rule?: string | undefined
  readonly originator?: string | undefined
  /** On this asset, or passed on to it. */
  readonly asset?: string | undefined
  /** This territory and everything below it. */
  readonly territory?: string | undefined
}

/** An alert as it stands now, with what the case is not told each time. */
export interface ListedAlert {
  readonly record: CaseRecord
  readonly lastAt: Date
  readonly times: number
  readonly details: Readonly<Record<string, unknown>> | null
  /** Of one that comes and goes: since when its condition does not hold. */
  readonly quietSince: Date | null
  /** Of an asset's list: whether it happened there. */
  readonly own: boolean | null
}

/** Where the actor may read alerts: `Forbidden` nowhere. */
const seenTerritories = Effect.gen(function* () {
  const actor = yield* Actor
  const territories = territoriesOf(yield* rolesFor(actor), actor, "alert.read", yield* Clock.currentTimeMillis)
  if (territories !== "all" && territories.length === 0) yield* demand("alert.read")
  return territories
})

const inSight = (sql: TenantTx["Service"]["sql"], territories: "all" | ReadonlyArray<string>) =>
  territories === "all" ? [] : [sql`t.path && ${territories}::uuid[]`]

/** Alerts that the actor may see, the newest first. Indexes `alert_current`, `alert_of_originator`, the keys of `alert` and `alert_propagation`. */
export const listAlerts = Effect.fn("control-room.listAlerts")(function* (
  filter: AlertFilter,
  page: { readonly cursor?: string | undefined; readonly limit?: number | undefined }
) {
  const { sql, tenantId } = yield* TenantTx
  const territories = yield* seenTerritories
  const { acknowledged, active, asset, originator, rule, severity, state, territory } = filter
  const where: Array<Fragment> = [sql`a.tenant_id = ${tenantId}`, ...inSight(sql, territories)]
  if (state !== undefined) where.push(sql`c.state = any (${state})`)
  if (severity !== undefined) where.push(sql`a.severity = any (${severity})`)
  if (active !== undefined) where.push(active ? sql`a.cleared_at is null` : sql`a.cleared_at is not null`)
  if (acknowledged !== undefined)
    where.push(acknowledged ? sql`a.acknowledged_at is not null` : sql`a.acknowledged_at is null`)
  if (rule !== undefined) where.push(sql`a.rule = ${rule}`)
  if (originator !== undefined) where.push(sql`a.originator = ${originator}`)
  if (territory !== undefined) where.push(sql`t.path && array[${territory}]::uuid[]`)
  if (page.cursor !== undefined) where.push(sql`a.case_id < ${page.cursor}`)
  const shown =
    asset === undefined
      ? sql`left join (select null::boolean as own) p on true`
      : sql`join mahalla.alert_propagation p on p.tenant_id = a.tenant_id and p.case_id = a.case_id and p.asset_id = ${asset}`
  const limit = page.limit ?? 50
  const rows = yield* sql<CaseRow & Omit<ListedAlert, "record">>`
    select ${sql.literal(caseColumns)}, a.last_at as "lastAt", a.times, a.details, p.own,
      case when a.calm_at is not null then a.quiet_since end as "quietSince"
    from mahalla.alert a ${shown}
    join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    where ${sql.and(where)} order by a.case_id desc limit ${limit + 1}`
  const items = rows.slice(0, limit).map((row): ListedAlert => ({
    record: recordOf(row),
    lastAt: row.lastAt,
    times: row.times,
    details: row.details,
    quietSince: row.quietSince,
    own: row.own
  }))
  return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.record.id } : {}) }
})

export interface AlertCount {
  readonly territoryId: string | null
  readonly severity: Severity
  readonly state: string
  readonly status: AlertStatus
  readonly amount: number
}

/** How many alerts that are not closed there are of each kind, in each territory that the actor may see. Index `case_by_state`. */
export const countAlerts = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const territories = yield* seenTerritories
  const rows = yield* sql<{
    territoryId: string | null
    severity: Severity
    state: string
    cleared: boolean
    acknowledged: boolean
    amount: number
  }>`
    select c.territory_id as "territoryId", a.severity, c.state, a.cleared_at is not null as cleared,
      a.acknowledged_at is not null as acknowledged, count(*)::int as amount
    from mahalla.civic_case c
    join mahalla.alert a on a.tenant_id = c.tenant_id and a.case_id = c.id
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    where ${sql.and([
      sql`c.tenant_id = ${tenantId}`,
      sql`c.type = 'alert'`,
      // Written out, so that the planner knows that these are few: nearly all alerts are closed.
      sql`c.state in ('suppressed', 'open', 'investigating', 'incident', 'resolved')`,
      ...inSight(sql, territories)
    ])}
    group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5`
  return rows.map(({ acknowledged, cleared, ...row }): AlertCount => ({
    ...row,
    status: statusOf(cleared, acknowledged)
  }))
}).pipe(Effect.withSpan("control-room.countAlerts"))

export interface Acknowledged {
  readonly id: string
  /** Absent where it was acknowledged now. */
  readonly problem?: ProblemAnswer["body"]
}

/** Acknowledges each of some alerts, or says why not; the others are acknowledged all the same. In their order. */
export const acknowledgeAlerts = Effect.fn("control-room.acknowledgeAlerts")(function* (ids: ReadonlyArray<string>) {
  const cases = [...new Set(ids)].map((caseId) => ({ caseId }))
  const results = yield* transitionTogether({ type: "alert", transition: "acknowledge", cases })
  const problems = new Map<string, ProblemAnswer["body"]>()
  for (const [place, result] of results.entries()) {
    if (Result.isSuccess(result)) continue
    const known = problemOf(result.failure)
    // What the database fails of fails the whole.
    if (known === undefined || known.status >= 500) return yield* Effect.fail(result.failure)
    problems.set(cases[place]!.caseId, known.body)
  }
  return ids.map((id): Acknowledged => {
    const problem = problems.get(id)
    return problem === undefined ? { id } : { id, problem }
  })
})
