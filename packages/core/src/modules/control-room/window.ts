/** Which alerts a maintenance window covers. Pure. */

export interface WindowScope {
  /**
   * Where: an alert of any of these devices, at any of these assets, in any of these territories or below; of a set, where that is so of a member.
   * Everywhere when all are empty.
   */
  readonly devices: ReadonlyArray<string>
  readonly assets: ReadonlyArray<string>
  readonly territories: ReadonlyArray<string>
  /** Alerts of these rules only; of all when empty. */
  readonly rules: ReadonlyArray<string>
}

export interface Window extends WindowScope {
  readonly id: string
  /** `until` is not part of it. */
  readonly from: Date
  readonly until: Date
}

/** What of an alert windows look at. */
export interface Covered {
  readonly rule: string
  readonly originator: string
  /** Of a set. */
  readonly devices: ReadonlyArray<string>
  /**
   * Where it happened, of a set also those at which its members sit. Assets on which it shows too say nothing: work on a house must not silence
   * the pump station above it.
   */
  readonly assets: ReadonlyArray<string>
  /** With their ancestors. */
  readonly territories: ReadonlyArray<string>
}

const scopeCovers = (scope: WindowScope, alert: Covered): boolean => {
  if (scope.rules.length > 0 && !scope.rules.includes(alert.rule)) return false
  if (scope.devices.length + scope.assets.length + scope.territories.length === 0) return scope.rules.length > 0
  return (
    [alert.originator, ...alert.devices].some((device) => scope.devices.includes(device)) ||
    [alert.originator, ...alert.assets].some((asset) => scope.assets.includes(asset)) ||
    alert.territories.some((territory) => scope.territories.includes(territory))
  )
}

/** Of the windows that hold a moment, the one that lasts longest. `at` is epoch milliseconds. */
export const windowOf = (windows: ReadonlyArray<Window>, alert: Covered, at: number): Window | undefined =>
  windows
    .filter((window) => window.from.getTime() <= at && at < window.until.getTime() && scopeCovers(window, alert))
    .toSorted((a, b) => b.until.getTime() - a.until.getTime() || (a.id < b.id ? -1 : 1))[0]
