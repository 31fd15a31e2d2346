/** What a batch of effects has still to write: rows of one kind go in one statement, before a step of a case reads them. */
import * as Effect from "effect/Effect"
import type { CaseRecord } from "../../kernel/cases/model.ts"
import { transitionAll } from "../../kernel/cases/transitionTogether.ts"
import type { ClearAlert, RaiseAlert, UpdateAlert } from "./model.ts"
import {
  type ActiveAlert,
  type Quiet,
  type Touch,
  writeAlerts,
  writeEpisodes,
  writePropagation,
  writeTouches
} from "./sql.ts"
import { tell } from "./tell.ts"
import { type Window, windowOf } from "./window.ts"

/** `windows`: those that hold when any of the batch's alerts begins. `paths`: of the territories that it names. */
export const makeBatch = (windows: ReadonlyArray<Window>, paths: ReadonlyMap<string, ReadonlyArray<string>>) => {
  const touches = new Map<string, Touch>()
  let alerts: Array<Readonly<Record<string, unknown>>> = []
  let episodes: Array<Readonly<Record<string, unknown>>> = []
  let propagation: Array<Readonly<Record<string, unknown>>> = []
  let untold: Array<CaseRecord> = []
  let suppressed: Array<{ readonly caseId: string; readonly input: { readonly window: string } }> = []
  let clears: Array<{ readonly caseId: string; readonly input: { readonly at: string; readonly reason?: string } }> = []

  return {
    /** The case of a new alert is there; its row is not yet. `often`: it is to be guarded, unless a window keeps it from calling anybody. */
    add: (raise: RaiseAlert, alert: CaseRecord, often: boolean): ActiveAlert => {
      const { assetId, at, details, episode, key, members, propagate = [], severity } = raise
      const own = assetId === undefined ? [] : [assetId]
      const assets = [...new Set([...own, ...propagate])]
      const { id: case_id, territoryPath } = alert
      const sets = {
        devices: members?.devices ?? [],
        assets: members?.assets ?? [],
        territories: (members?.territories ?? []).flatMap((id) => paths.get(id) ?? [])
      }
      const covered = {
        ...sets,
        assets: [...own, ...sets.assets],
        territories: [...territoryPath, ...sets.territories]
      }
      const window = windowOf(windows, { ...key, ...covered }, at)
      const guarded = often && window === undefined
      const flapping = alert.data["flapping"] === true
      alerts.push({
        case_id,
        ...key,
        ...sets,
        episode,
        severity,
        started_at: new Date(at),
        details,
        flapping,
        guarded,
        suppressed_until: window?.until,
        window_id: window?.id
      })
      for (const asset of assets) propagation.push({ asset_id: asset, case_id: alert.id, own: asset === assetId })
      if (window === undefined) untold.push(alert)
      else suppressed.push({ caseId: alert.id, input: { window: window.id } })
      return { caseId: alert.id, ...key, episode, severity, flapping, guarded, quiet: null }
    },
    /** The alert stands for this episode too. */
    remember: ({ at, episode, key }: RaiseAlert, caseId: string) => {
      episodes.push({ ...key, episode, case_id: caseId, raised_at: new Date(at) })
    },
    /** It holds, once more or still. */
    touch: ({ caseId, guarded }: ActiveAlert, { at, details, episode }: UpdateAlert) => {
      const before = touches.get(caseId)
      const times = (before?.times ?? 0) + 1
      const latest = Math.max(at, before?.at ?? at)
      const kept = details ?? before?.details
      touches.set(caseId, { caseId, episode, at: latest, times, details: kept, guarded, quiet: null })
    },
    /** It holds no more, and is to be calm for a while before it is cleared. */
    hold: ({ caseId, episode, guarded }: ActiveAlert, quiet: Quiet) => {
      const { at = quiet.since, details, times = 0 } = touches.get(caseId) ?? {}
      touches.set(caseId, { caseId, episode, at: Math.max(at, quiet.since), times, details, guarded, quiet })
    },
    clear: (caseId: string, { at, reason }: Pick<ClearAlert, "at" | "reason">) => {
      clears.push({ caseId, input: { at: new Date(at).toISOString(), ...(reason === undefined ? {} : { reason }) } })
    },
    /** Writes all of it, lets those hear of new alerts whom they concern, and clears what has ended since. */
    flush: Effect.gen(function* () {
      const rows = { alerts, episodes, propagation, touches: [...touches.values()] }
      const [hold, told, ended] = [suppressed, untold, clears]
      alerts = []
      episodes = []
      propagation = []
      suppressed = []
      untold = []
      clears = []
      touches.clear()
      yield* writeAlerts(rows.alerts)
      yield* writeEpisodes(rows.episodes)
      yield* writePropagation(rows.propagation)
      yield* writeTouches(rows.touches)
      // Neither is ever refused: the alerts are locked, and their states were looked at.
      if (hold.length > 0) yield* transitionAll({ type: "alert", transition: "suppress", cases: hold })
      yield* tell(told)
      if (ended.length > 0) yield* transitionAll({ type: "alert", transition: "clear-by-rule", cases: ended })
    })
  }
}
