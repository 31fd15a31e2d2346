/**
 * The words of telemetry. A **device** sends; its **profile** says what; a **datastream** is one measured quantity of one device; a
 * **reading** is one value of it at one time. Names as in OGC SensorThings 1.1 (Observation = reading).
 */

/** One measured quantity, as a profile knows it. */
export interface DatastreamDefinition {
  /** Key in the device's messages: `[A-Za-z0-9_.:/-]{1,100}`. */
  readonly key: string
  readonly title: string
  /** UCUM: `bar`, `m3/h`, `Cel`, `%`. A message that names another unit is a dead letter, unless it converts exactly. */
  readonly unit: string
  /** Values outside are stored with a remark and raise the anomaly `range`. */
  readonly minimum?: number
  readonly maximum?: number
  /** Largest change per second that can be real. */
  readonly maxRate?: number
  /** Seconds of exactly the same value after which the sensor counts as stuck. */
  readonly flatAfter?: number
  /** Smallest difference worth noticing, in `unit`; the sensor's own noise. */
  readonly resolution?: number
}

/** One value on its way in, decoded and not yet checked. */
export interface DecodedReading {
  /** Name of a device behind the gateway that sent it. Default: the sender. */
  readonly device?: string
  /** The datastream's key. */
  readonly key: string
  /** Epoch milliseconds, the event's own time. */
  readonly at: number
  /** The sender's number for it, where it has one: 0–4,294,967,295. Two with the same datastream, time and number are one. */
  readonly sequence?: number
  /** Booleans are 0 and 1. */
  readonly value: number
  /** UCUM, where the message says so. */
  readonly unit?: string
  /** From the device's memory: stored and counted, but the last value does not move. */
  readonly historical?: boolean
}

/** What a message says of the device itself. */
export interface DeviceStatus {
  readonly device?: string
  readonly at: number
  /** 0–100. */
  readonly battery?: number
  /** dBm and dB of the best receiver. */
  readonly rssi?: number
  readonly snr?: number
  /** It said goodbye (Sparkplug NDEATH, MQTT will). */
  readonly offline?: boolean
  /** Texts and objects that are a state, not a reading. */
  readonly attributes?: Readonly<Record<string, unknown>>
}

/** What one message holds. */
export interface Decoded {
  readonly readings: ReadonlyArray<DecodedReading>
  readonly statuses: ReadonlyArray<DeviceStatus>
  /** For operators: a field that was left out, and why. */
  readonly warnings: ReadonlyArray<string>
}

/** Why a message, or one value of it, cannot be used. Reasons are a closed list, so that operators can count and replay by them. */
export type DeadReason =
  | "malformed"
  | "too-large"
  | "unknown-device"
  | "unknown-datastream"
  | "wrong-unit"
  | "not-a-number"
  | "from-the-future"
  | "too-old"
  | "codec-failed"
  | "codec-too-slow"
  | "not-allowed"

/** Something that is not as it was expected to be. */
export interface Anomaly {
  /** Which check or detector: `range`, `rate`, `flat`, `gap`, `clock`, `record`, `season`, `baseline`. */
  readonly kind: "range" | "rate" | "flat" | "gap" | "clock" | "record" | "season" | "baseline"
  /** Epoch milliseconds of the reading. */
  readonly at: number
  readonly value: number
  /** What would have been expected: a value or a band, in the datastream's unit. */
  readonly expected: { readonly low: number; readonly high: number }
  /** 0–1; what `sensitivity` is compared with. */
  readonly score: number
  /** For people, in English: what came, what was expected, since when. */
  readonly explanation: string
}
