/** What rules hear, and what they say. All times are epoch milliseconds. */
import type { Place } from "../../../kernel/cases/model.ts"
import type { Anomaly } from "../model.ts"
import type { RuleSeverity } from "./definition.ts"

/** What rules know of a device besides its readings. */
export interface DeviceFacts {
  /** UUID. */
  readonly id: string
  readonly profile: string
  readonly groups: ReadonlyArray<string>
  readonly attributes: Readonly<Record<string, unknown>>
  /** Seconds between its readings. Without one it is never called offline. */
  readonly expectedInterval?: number
  /** UCUM, of its datastreams by their keys. Without one numbers are compared as they are. */
  readonly units?: Readonly<Record<string, string>>
  /** Where it is registered, WGS84: its place until it tells one itself. */
  readonly place?: Place
}

/** A reading that is to be stored, in the order of arrival. Historical ones (`DecodedReading.historical`) are not for rules. */
export interface ReadingFact {
  readonly kind: "reading"
  readonly device: string
  readonly key: string
  readonly at: number
  /** Default 0. Two with the same datastream, time and number are one. */
  readonly sequence?: number
  readonly value: number
}

export type Fact =
  | ReadingFact
  /** After its reading. */
  | { readonly kind: "anomaly"; readonly device: string; readonly key: string; readonly anomaly: Anomaly }
  /** Introduces a device, or says what has changed of it. Those of a set come one after the other, nothing between them. Nothing is concluded from what comes of devices that nobody introduced. */
  | { readonly kind: "device"; readonly at: number; readonly device: DeviceFacts }
  /** The device is registered no more; its alerts clear. */
  | { readonly kind: "gone"; readonly at: number; readonly device: string }
  /** Nobody listened from one moment to another: who became due then may be silent as long once more. Each once, the oldest first. */
  | { readonly kind: "deaf"; readonly from: number; readonly at: number }
  /**
   * It is so late: fires what is due. Give the wall clock less the seconds that readings usually take to arrive, so that a reading on
   * its way is not overtaken.
   */
  | { readonly kind: "tick"; readonly at: number }

export interface RuleEffect {
  readonly rule: string
  readonly version: number
  /** The device, or `set:` and the set's id. */
  readonly originator: string
  /** UUID (version 8), the same whenever the same facts are evaluated from the same state: raising is idempotent by it. */
  readonly episode: string
  /** `update`: another severity, or from now on flapping. */
  readonly do: "raise" | "update" | "clear"
  /** Of a cleared alert: the last it had. */
  readonly severity: RuleSeverity
  readonly flapping: boolean
  /** When it became so: the time of a reading, or the moment when a span was over. Not when anybody noticed. */
  readonly at: number
  readonly because: Because
}

export interface Because {
  readonly reason: "condition" | "flapping" | "rule changed" | "out of scope" | "device gone"
  /** For people, in English. */
  readonly text: string
}
