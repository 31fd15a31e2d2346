/**
 * What rules say of alerts, many at once, in the caller's transaction: it commits with the rule's own state or not at all. Every effect may
 * be repeated; the key is rule, originator and episode.
 */
import * as Effect from "effect/Effect"
import { createCase } from "../../kernel/cases/create.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { makeBatch } from "./batch.ts"
import { checkEffects } from "./checkEffects.ts"
import type { AlertEffect, AlertKey, AlertOutcome, ClearAlert, RaiseAlert, UpdateAlert } from "./model.ts"
import { type ActiveAlert, activeAlerts, knownEpisodes, lockKeys, pathsOf, raisedSince } from "./sql.ts"
import { windowsDuring } from "./windows.ts"

const nameOf = ({ originator, rule }: AlertKey) => JSON.stringify([originator, rule])
const episodeOf = ({ episode, key }: { readonly key: AlertKey; readonly episode: string }) =>
  `${nameOf(key)} ${episode}`

/** Minutes of calm after which a guarded alert is cleared, where the city says nothing else. */
const calmMinutes = 15

/** So many alerts of one rule and originator within an hour: it comes and goes, and wants a better rule rather than a person. */
const chattering = { alerts: 5, within: 3_600_000 } as const

const definedOf = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

type Paths = Effect.Success<ReturnType<typeof pathsOf>>

const create = Effect.fnUntraced(function* (raise: RaiseAlert, isFlapping: boolean, paths: Paths) {
  const { assetId, details, episode, key, originator, place, ruleVersion = 1, severity, summary, territoryId } = raise
  const startedAt = new Date(raise.at).toISOString()
  const data = definedOf({
    rule: key.rule,
    ruleVersion,
    episode,
    originatorKind: originator?.kind ?? "device",
    originatorId: key.originator,
    originatorName: originator?.name,
    assetId,
    severity,
    summary,
    details,
    status: "ACTIVE_UNACK",
    startedAt,
    flapping: isFlapping ? true : undefined
  })
  const territory = territoryId == null ? territoryId : { id: territoryId, path: paths.get(territoryId)! }
  return yield* createCase({ type: "alert", data, place, territory })
})

/**
 * Applies what rules found, in its order; one outcome for each. At most 1,000 effects. Runs as the engine, inside `withTenant`. Fails with
 * `InvalidInput` before anything is written.
 */
export const applyAlertEffects = Effect.fn("control-room.applyAlertEffects")(
  function* (effects: ReadonlyArray<AlertEffect>) {
    yield* checkEffects(effects)
    if (effects.length === 0) return []
    const paths = yield* pathsOf(effects)
    const keys = [...new Map(effects.map(({ key }) => [nameOf(key), key])).values()]
    yield* lockKeys(keys)
    const raises = effects.filter((effect) => effect.kind === "raise")
    const known = new Map((yield* knownEpisodes(effects)).map((row) => [episodeOf({ ...row, key: row }), row.caseId]))
    const fresh = raises.filter((raise) => !known.has(episodeOf(raise)))
    const times = fresh.map(({ at }) => at)
    const windows = fresh.length === 0 ? [] : yield* windowsDuring(Math.min(...times), Math.max(...times))
    const active = new Map((yield* activeAlerts(keys)).map((row) => [nameOf(row), row]))
    const earlier =
      fresh.length === 0
        ? []
        : yield* raisedSince(
            fresh.map(({ key }) => key),
            new Date(Math.max(0, Math.min(...times) - chattering.within))
          )
    const seen = Map.groupBy(earlier, nameOf)
    /** How many of its key there were within an hour, itself among them; by the readings' time, so that a late day is no storm. */
    const amountOf = ({ at, key }: RaiseAlert) => {
      const others = seen.get(nameOf(key)) ?? []
      const amount = others.filter((other) => other.at > at - chattering.within && other.at <= at).length + 1
      seen.set(nameOf(key), [...others, { ...key, at }])
      return amount
    }

    const calm = ((yield* tenantSettings).alertCalmMinutes ?? calmMinutes) * 60_000
    const batch = makeBatch(windows, paths)
    /** Keys whose alert is cleared with the next flush. */
    const ended = new Set<string>()
    const change = Effect.fnUntraced(function* (alert: ActiveAlert, effect: UpdateAlert) {
      const { episode, severity = alert.severity, summary } = effect
      // A rule that says so waits by itself.
      const guarded = alert.guarded && effect.flapping !== true
      const flapping = guarded || (effect.flapping ?? alert.flapping)
      const changed: ActiveAlert = { ...alert, episode, flapping, guarded, quiet: null, severity }
      batch.touch(changed, effect)
      active.set(nameOf(alert), changed)
      if (severity === alert.severity && flapping === alert.flapping) return
      yield* batch.flush
      const input = definedOf({ severity, summary, flapping })
      yield* transitionCase({ caseId: alert.caseId, transition: "change", input })
    })
    const end = (alert: ActiveAlert, cleared: Pick<ClearAlert, "at" | "reason">) => {
      batch.clear(alert.caseId, cleared)
      active.delete(nameOf(alert))
      ended.add(nameOf(alert))
    }
    const raise = Effect.fnUntraced(function* (effect: RaiseAlert) {
      const name = nameOf(effect.key)
      const before = known.get(episodeOf(effect))
      if (before !== undefined) return { outcome: "repeated", caseId: before } as const
      const last = active.get(name)
      // It was calm for long enough before this, whoever has looked since.
      if (last !== undefined && last.quiet !== null && last.quiet.until <= effect.at)
        end(last, { at: last.quiet.since })
      const held = active.get(name)
      const amount = amountOf(effect)
      // One active alert of a key: the one before it is cleared first.
      if (held === undefined && ended.has(name)) {
        yield* batch.flush
        ended.clear()
      }
      const often = effect.flapping !== true && amount >= chattering.alerts
      const alert = held === undefined ? yield* create(effect, effect.flapping === true || often, paths) : undefined
      if (alert === undefined) yield* change(held!, effect)
      else active.set(name, batch.add(effect, alert, often && calm > 0))
      const caseId = alert?.id ?? held!.caseId
      known.set(episodeOf(effect), caseId)
      batch.remember(effect, caseId)
      return { outcome: alert === undefined ? "active" : "raised", caseId } as const
    })
    const outcomes: Array<AlertOutcome> = []
    for (const effect of effects) {
      if (effect.kind === "raise") {
        outcomes.push(yield* raise(effect))
        continue
      }
      const held = active.get(nameOf(effect.key))
      if (held === undefined || held.episode !== effect.episode || held.quiet !== null) {
        outcomes.push({ outcome: "ignored", caseId: known.get(episodeOf(effect)) ?? null })
      } else if (effect.kind === "update") {
        yield* change(held, effect)
        outcomes.push({ outcome: "updated", caseId: held.caseId })
      } else if (held.guarded && effect.reason === undefined) {
        const quiet = { since: effect.at, until: effect.at + calm }
        batch.hold(held, quiet)
        active.set(nameOf(effect.key), { ...held, quiet })
        outcomes.push({ outcome: "held", caseId: held.caseId })
      } else {
        end(held, effect)
        outcomes.push({ outcome: "cleared", caseId: held.caseId })
      }
    }
    yield* batch.flush
    return outcomes
  },
  (self) => Effect.flatMap(TenantTx, ({ tenantId }) => Effect.provideService(self, Actor, system(tenantId)))
)

const single = (effect: AlertEffect) => Effect.map(applyAlertEffects([effect]), ([outcome]) => outcome!)

/** The condition holds: raises an alert, unless there is an active one, or this episode was raised before. */
export const raiseAlert = (raise: RaiseAlert) => single({ kind: "raise", ...raise })
/** The condition goes on: counted, kept as the latest, and a step of the case only where the severity is another. */
export const updateAlert = (update: UpdateAlert) => single({ kind: "update", ...update })
/** The condition holds no more. */
export const clearAlert = (clear: ClearAlert) => single({ kind: "clear", ...clear })
