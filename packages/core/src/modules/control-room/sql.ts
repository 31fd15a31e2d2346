/** What the control room reads and writes beside the kernel's tables. */
import * as Effect from "effect/Effect"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { sent } from "../../kernel/db/pipelined.ts"
import type { AlertEffect, AlertKey, Severity } from "./model.ts"

export interface ActiveAlert {
  readonly caseId: string
  readonly rule: string
  readonly originator: string
  readonly episode: string
  readonly severity: Severity
  readonly flapping: boolean
  readonly guarded: boolean
  /** While it is guarded and its condition does not hold: since when, and when that will have been calm enough. */
  readonly quiet: Quiet | null
}

/** Epoch milliseconds. */
export interface Quiet {
  readonly since: number
  readonly until: number
}

const columnsOf = (keys: ReadonlyArray<AlertKey>) => ({
  rules: keys.map(({ rule }) => rule),
  originators: keys.map(({ originator }) => originator)
})

/** The territories that effects name, each with its ancestors. Fails with `InvalidInput` where there is none of such an id. */
export const pathsOf = Effect.fnUntraced(function* (effects: ReadonlyArray<AlertEffect>) {
  const { sql, tenantId } = yield* TenantTx
  const named = effects.map((effect) =>
    effect.kind === "raise"
      ? [...(effect.territoryId == null ? [] : [effect.territoryId]), ...(effect.members?.territories ?? [])]
      : []
  )
  const ids = [...new Set(named.flat())]
  if (ids.length === 0) return new Map<string, ReadonlyArray<string>>()
  const rows = yield* sql<{ id: string; path: ReadonlyArray<string> }>`
    select id, path from mahalla.territory where tenant_id = ${tenantId} and id = any (${ids}::uuid[])`
  const paths = new Map(rows.map(({ id, path }) => [id, path]))
  const missing = named.findIndex((some) => some.some((id) => !paths.has(id)))
  if (missing === -1) return paths
  return yield* new InvalidInput({
    issues: [{ pointer: `/${missing}/territoryId`, detail: "There is no territory of this id." }]
  })
})

/** One transaction after the other for each originator and rule; taken in one order, whoever asks. */
export const lockKeys = Effect.fnUntraced(function* (keys: ReadonlyArray<AlertKey>) {
  const { sql, tenantId } = yield* TenantTx
  const { originators, rules } = columnsOf(keys)
  yield* sql`
    select pg_advisory_xact_lock(number) from (
      select distinct hashtextextended(concat_ws(' ', 'mahalla.alert', ${tenantId}::text, rule, originator), 0) as number
      from unnest(${rules}::text[], ${originators}::text[]) as key (rule, originator) order by 1
    ) numbers`
})

/** Active alerts, locked as every step of them locks: the case, then the row. Index `alert_active`. */
export const activeAlerts = Effect.fnUntraced(function* (keys: ReadonlyArray<AlertKey>) {
  const { sql, tenantId } = yield* TenantTx
  const { originators, rules } = columnsOf(keys)
  const rows = yield* sql<
    Omit<ActiveAlert, "quiet"> & { readonly quietSince: Date | null; readonly calmAt: Date | null }
  >`
    select a.case_id as "caseId", a.rule, a.originator, a.episode, a.severity, a.flapping, a.guarded,
      a.quiet_since as "quietSince", a.calm_at as "calmAt"
    from mahalla.alert a join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id
    where a.tenant_id = ${tenantId} and a.cleared_at is null
      and (a.rule, a.originator) in (select * from unnest(${rules}::text[], ${originators}::text[]))
    order by a.case_id for no key update of c, a`
  return rows.map(({ calmAt, quietSince, ...alert }): ActiveAlert => ({
    ...alert,
    quiet: quietSince === null || calmAt === null ? null : { since: quietSince.getTime(), until: calmAt.getTime() }
  }))
})

/** All that are active of some rules. Index `alert_active`. */
export const activeAlertsOf = Effect.fnUntraced(function* (rules: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<AlertKey & { readonly episode: string }>`
    select rule, originator, episode from mahalla.alert
    where tenant_id = ${tenantId} and rule = any (${rules}::text[]) and cleared_at is null order by case_id`
})

interface KnownEpisode extends AlertKey {
  readonly episode: string
  readonly caseId: string
}

/** Those of the given episodes that were raised before. */
export const knownEpisodes = Effect.fnUntraced(function* (
  episodes: ReadonlyArray<{ readonly key: AlertKey; readonly episode: string }>
) {
  const { sql, tenantId } = yield* TenantTx
  const { originators, rules } = columnsOf(episodes.map(({ key }) => key))
  return yield* sql<KnownEpisode>`
    select rule, originator, episode, case_id as "caseId" from mahalla.alert_episode
    where tenant_id = ${tenantId} and (rule, originator, episode) in
      (select * from unnest(${rules}::text[], ${originators}::text[], ${episodes.map(({ episode }) => episode)}::text[]))`
})

/** When episodes of each key that were raised since a moment began, in epoch milliseconds of the readings. */
export const raisedSince = Effect.fnUntraced(function* (keys: ReadonlyArray<AlertKey>, since: Date) {
  const { sql, tenantId } = yield* TenantTx
  const { originators, rules } = columnsOf(keys)
  return yield* sql<AlertKey & { readonly at: number }>`
    select rule, originator, (extract(epoch from raised_at) * 1000)::float8 as at from mahalla.alert_episode
    where tenant_id = ${tenantId} and raised_at > ${since}
      and (rule, originator) in (select * from unnest(${rules}::text[], ${originators}::text[]))`
})

export const writeAlerts = Effect.fnUntraced(function* (rows: ReadonlyArray<Readonly<Record<string, unknown>>>) {
  if (rows.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  yield* sent(sql`
    insert into mahalla.alert
      (tenant_id, case_id, rule, originator, episode, severity, started_at, last_at, details, flapping, guarded, suppressed_until, window_id,
       devices, assets, territories)
    select ${tenantId}, case_id, rule, originator, episode, severity, started_at, started_at, details, flapping, guarded, suppressed_until, window_id,
      devices, assets, territories
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as given
      (case_id uuid, rule text, originator text, episode text, severity text, started_at timestamptz, details jsonb,
       flapping boolean, guarded boolean, suppressed_until timestamptz, window_id uuid, devices uuid[], assets uuid[], territories uuid[])`)
})

export const writeEpisodes = Effect.fnUntraced(function* (rows: ReadonlyArray<Readonly<Record<string, unknown>>>) {
  if (rows.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  yield* sent(sql`
    insert into mahalla.alert_episode (tenant_id, rule, originator, episode, case_id, raised_at)
    select ${tenantId}, rule, originator, episode, case_id, raised_at
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as given
      (rule text, originator text, episode text, case_id uuid, raised_at timestamptz)`)
})

export const writePropagation = Effect.fnUntraced(function* (rows: ReadonlyArray<Readonly<Record<string, unknown>>>) {
  const { sql, tenantId } = yield* TenantTx
  // A thousand alerts at once, each on a thousand assets, are more than one text may hold.
  for (let from = 0; from < rows.length; from += 20_000) {
    const write = sql`
      insert into mahalla.alert_propagation (tenant_id, asset_id, case_id, own)
      select ${tenantId}, asset_id, case_id, own
      from jsonb_to_recordset(${JSON.stringify(rows.slice(from, from + 20_000))}::text::jsonb) as given (asset_id uuid, case_id uuid, own boolean)`
    yield* rows.length > 20_000 ? write : sent(write)
  }
})

/** What was said of an alert since it was last written down. */
export interface Touch {
  readonly caseId: string
  /** The latest. */
  readonly episode: string
  readonly at: number
  readonly times: number
  readonly details: Readonly<Record<string, unknown>> | undefined
  readonly guarded: boolean
  readonly quiet: Quiet | null
}

const dateOf = (at: number | undefined) => (at === undefined ? null : new Date(at))

export const writeTouches = Effect.fnUntraced(function* (touches: ReadonlyArray<Touch>) {
  if (touches.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  const given = touches.map(({ at, caseId, details = null, episode, guarded, quiet, times }) => ({
    case_id: caseId,
    episode,
    at: new Date(at),
    times,
    details,
    guarded,
    quiet_since: dateOf(quiet?.since),
    calm_at: dateOf(quiet?.until)
  }))
  yield* sql`
    update mahalla.alert a
    set episode = t.episode, last_at = greatest(a.last_at, t.at), times = a.times + t.times, details = coalesce(t.details, a.details),
        guarded = t.guarded, quiet_since = t.quiet_since, calm_at = t.calm_at
    from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb) as t
      (case_id uuid, episode text, at timestamptz, times integer, details jsonb, guarded boolean, quiet_since timestamptz,
       calm_at timestamptz)
    where a.tenant_id = ${tenantId} and a.case_id = t.case_id`
})

/** Writes down that conditions hold no more, and gives back what the case is told with that. `at`: RFC 3339. */
export const clearRows = Effect.fnUntraced(function* (
  cleared: ReadonlyArray<{ readonly caseId: string; readonly at: string }>,
  now: Date
) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{
    caseId: string
    lastAt: Date
    times: number
    details: Readonly<Record<string, unknown>> | null
  }>`
    update mahalla.alert a
    set cleared_at = given.at, last_at = greatest(a.last_at, least(given.at, ${now})), suppressed_until = null, calm_at = null
    from unnest(${cleared.map(({ caseId }) => caseId)}::uuid[], ${cleared.map(({ at }) => at)}::timestamptz[]) as given (id, at)
    where a.tenant_id = ${tenantId} and a.case_id = given.id
    returning a.case_id as "caseId", a.last_at as "lastAt", a.times, a.details`
  return new Map(rows.map((row) => [row.caseId, row]))
})

/** Alerts that call nobody any more. */
export const offLadders = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  yield* sent(sql`delete from mahalla.alert_ladder where tenant_id = ${tenantId} and case_id = any (${ids}::uuid[])`)
})

/** People hear of cases from now on. */
export const subscribeAll = Effect.fnUntraced(function* (
  cases: ReadonlyArray<string>,
  people: ReadonlyArray<string>,
  at: Date
) {
  if (people.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    insert into mahalla.case_subscriber (tenant_id, case_id, principal_id, created_at)
    select ${tenantId}, told.id, hearer.id, ${at} from unnest(${cases}::uuid[]) as told (id), unnest(${people}::uuid[]) as hearer (id)
    on conflict do nothing`
})

/** The incident that an alert is part of. */
export const incidentOf = Effect.fnUntraced(function* (alertId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ id: string }>`
    select c.id from mahalla.case_link l join mahalla.civic_case c on c.tenant_id = l.tenant_id and c.id = l.to_id
    where l.tenant_id = ${tenantId} and l.from_id = ${alertId} and l.kind = 'parent' and c.type = 'incident'`
  return row?.id
})

/** An incident's alerts. Index `case_link_to`. */
export const alertsOfIncident = Effect.fnUntraced(function* (incidentId: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ id: string; state: string; severity: Severity }>`
    select c.id, c.state, a.severity from mahalla.case_link l
    join mahalla.civic_case c on c.tenant_id = l.tenant_id and c.id = l.from_id
    join mahalla.alert a on a.tenant_id = c.tenant_id and a.case_id = c.id
    where l.tenant_id = ${tenantId} and l.to_id = ${incidentId} and l.kind = 'parent'
    order by c.id`
})
