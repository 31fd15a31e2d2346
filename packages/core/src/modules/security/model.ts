/** What staff is alerted to. */

export type Severity = "low" | "medium" | "high" | "critical"

/** Kinds of alerts: how bad one is, and for how many seconds it stays active when it does not happen again. */
export const alertKinds = {
  /** Wrong codes or links, many of them, for one number or from one block of addresses. */
  "failed-sign-ins": { severity: "medium", lasts: 86_400 },
  /** More codes are asked for than a prefix, a country or the city may get. */
  "code-flood": { severity: "high", lasts: 21_600 },
  /** Codes to a prefix are hardly ever used: somebody may earn by them. */
  "prefix-paused": { severity: "high", lasts: 86_400 },
  /** The day's money for codes is spent. */
  "code-money": { severity: "critical", lasts: 86_400 },
  /** A refresh token came a second time: somebody has copied it. */
  "refresh-reused": { severity: "high", lasts: 604_800 },
  /** More people sign in on one device than live in a household. */
  "many-accounts": { severity: "medium", lasts: 604_800 },
  /** Two people sent the same file. */
  "same-clip": { severity: "medium", lasts: 604_800 },
  /** One person sent a file again that stands in a report of theirs. */
  "clip-again": { severity: "low", lasts: 604_800 },
  /** One person is paid more often than is likely. */
  "many-payouts": { severity: "high", lasts: 86_400 },
  /** A person came on a new device, and what they are paid goes elsewhere. */
  "payee-changed": { severity: "high", lasts: 604_800 },
  /** The log and the checkpoints outside contradict each other, or nothing more can be sealed. */
  "checkpoint-refused": { severity: "critical", lasts: 604_800 }
} as const satisfies Readonly<Record<string, { readonly severity: Severity; readonly lasts: number }>>

export type AlertKind = keyof typeof alertKinds

export interface Alert {
  readonly kind: AlertKind
  /** Whom or what it is about: one active alert for each of a kind. At most 200 characters. */
  readonly originator: string
  /** For staff, in a sentence; nothing personal in it. */
  readonly summary: string
}
