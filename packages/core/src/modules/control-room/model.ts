/**
 * The words of the control room. An **alert** says that a rule's condition holds at an **originator**, a device or an asset; an **episode** is
 * one stretch of time in which it holds. Alerts that belong together are one **incident**; what is done about it is a **work order**.
 */

/** ThingsBoard's and X.733's perceived severities, the worst first. */
export const severities = ["critical", "major", "minor", "warning", "indeterminate"] as const
export type Severity = (typeof severities)[number]

/** The worst of some; `indeterminate` of none. */
export const worstOf = (found: ReadonlyArray<Severity>): Severity =>
  severities.find((severity) => found.includes(severity)) ?? "indeterminate"

/** Whether the condition still holds, and whether somebody has seen it: two things, as in ISA-18.2. In ThingsBoard's words. */
export type AlertStatus = "ACTIVE_UNACK" | "ACTIVE_ACK" | "CLEARED_UNACK" | "CLEARED_ACK"

export const statusOf = (cleared: boolean, acknowledged: boolean): AlertStatus =>
  `${cleared ? "CLEARED" : "ACTIVE"}_${acknowledged ? "ACK" : "UNACK"}`

/** Of an originator and a rule there is one active alert at a time. */
export interface AlertKey {
  /** The rule's id, at most 100 characters. */
  readonly rule: string
  /** Id of the device, the asset or the set of them: 1–100 of `A-Za-z0-9_.:-`. */
  readonly originator: string
}

/** What happened to a rule's condition. All times are epoch milliseconds of the readings. */
interface OfEpisode {
  readonly key: AlertKey
  /** The rule's name for this stretch of its condition, at most 100 characters; the next one bears another. */
  readonly episode: string
  readonly at: number
}

/** UUIDs. */
export interface AlertMembers {
  readonly devices: ReadonlyArray<string>
  /** At which they sit. */
  readonly assets: ReadonlyArray<string>
  /** In which they are. */
  readonly territories: ReadonlyArray<string>
}

/** The condition holds. */
export interface RaiseAlert extends OfEpisode {
  readonly severity: Severity
  /** For people, in a sentence, at most 500 characters. */
  readonly summary: string
  /** JSON of at most 16,000 characters: what was expected, what came. */
  readonly details: Readonly<Record<string, unknown>>
  /** Version of the rule. Default 1. */
  readonly ruleVersion?: number | undefined
  /** Default: a device without a name. */
  readonly originator?: { readonly kind: "device" | "asset" | "set"; readonly name: string } | undefined
  /**
   * The rule knows that it comes and goes, and waits with its own word that it is over. Where the rule does not say so, the fifth of its key
   * within an hour is marked and guarded: it stays active until it has been calm for the city's `alertCalmMinutes`.
   */
  readonly flapping?: boolean | undefined
  /** WGS84 degrees. */
  readonly place?: { readonly longitude: number; readonly latitude: number } | undefined
  /** The territory it is in; null: none. Default: that of the place. */
  readonly territoryId?: string | null | undefined
  /** Of a set, at most 1,000 of each: what is of it besides. A maintenance window on any of them covers the alert. */
  readonly members?: AlertMembers | undefined
  /** The asset it happened at, a UUID. */
  readonly assetId?: string | undefined
  /** Assets on which it shows too, at most 1,000: the pipe above, the district meter area. */
  readonly propagate?: ReadonlyArray<string> | undefined
}

/** It goes on holding, perhaps worse or better than before. */
export interface UpdateAlert extends OfEpisode {
  readonly severity?: Severity | undefined
  /** Taken when severity or flapping is another than before; else the details say what is new. */
  readonly summary?: string | undefined
  readonly flapping?: boolean | undefined
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/** It holds no more. */
export interface ClearAlert extends OfEpisode {
  /** Where it is not simply over, as a device that is gone, at most 500 characters. */
  readonly reason?: string | undefined
}

export type AlertEffect =
  | ({ readonly kind: "raise" } & RaiseAlert)
  | ({ readonly kind: "update" } & UpdateAlert)
  | ({ readonly kind: "clear" } & ClearAlert)

/** What became of an effect. */
export interface AlertOutcome {
  /**
   * `raised`: a new alert. `active`: it was active already, and now stands for this episode too. `repeated`: this episode was raised before; nothing
   * happened. `updated`, `cleared`. `ignored`: there is no active alert of this episode, or a later one has taken its place.
   * `held`: it came and went too often, and is cleared when it has been calm.
   */
  readonly outcome: "raised" | "active" | "repeated" | "updated" | "cleared" | "held" | "ignored"
  /** Null where there is none. */
  readonly caseId: string | null
}

/** The states of an alert in which something may still happen to it. */
export const openStates = ["suppressed", "open", "investigating", "incident", "resolved"] as const

export const workKinds = ["inspect", "repair", "replace", "flush"] as const
export type WorkKind = (typeof workKinds)[number]
