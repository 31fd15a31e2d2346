/**
 * Leaks in one hydraulic zone, found by what its sensors say together.
 *
 * A leak of a few m³/h is lost in the day's demand and in each sensor's own swing. What remains when the zone's inflow is known is small:
 * at night a pressure can be told from the inflow to within millimetres. A leak lowers some pressures more than the same water drawn by
 * everybody would, and each place in its own pattern. That pattern is what is looked for, night by night.
 */

export interface LeakSensor {
  /** Datastream. */
  readonly id: string
  /** `pressure` in metres of water, `inflow` into the zone and `outflow` out of it (to a tank, to a neighbour) in m³/h. */
  readonly kind: "pressure" | "inflow" | "outflow"
  /** For people. */
  readonly name: string
  /**
   * Of an outflow that fills a tank, from which others drink: the pressure sensor that shows the tank's level. Only with it are leaks behind
   * the tank seen as water, for a pump runs when the tank asks for it, not when somebody drinks.
   */
  readonly tankLevel?: string
}

/** A place where a leak may be, and what one there does to each sensor, in the order of `sensors`. */
export interface LeakPlace {
  readonly name: string
  /**
   * Change per m³/h of leak at night: m for pressures (negative), m³/h for flows; for an outflow with `tankLevel` the change of its mean over
   * days (1 for a place behind the tank). From a hydraulic model, by any program.
   */
  readonly effects: ArrayLike<number>
}

export interface LeakGroup {
  /** Only such as speak: nights count from the first in which all of them did. One that falls silent later is told by the others. */
  readonly sensors: ReadonlyArray<LeakSensor>
  /** IANA name, for what is night. */
  readonly timeZone: string
  /** Without them the place of a leak is the sensor next to it. */
  readonly places?: ReadonlyArray<LeakPlace>
}

/** A leak that was found. */
export interface LeakFound {
  readonly kind: "leak"
  /** Epoch milliseconds: the end of the night that was enough. */
  readonly at: number
  /** Epoch milliseconds of the first night that is counted as evidence. */
  readonly since: number
  /** Where most likely: a place of the model, else a sensor. `undefined`: only the inflow grew. */
  readonly place: string | undefined
  /** All that are nearly as likely, the likeliest first; at most 50. */
  readonly zone: ReadonlyArray<string>
  /** m³/h on average since `since`; only where there is a model, or where the inflow grew. */
  readonly flow: number | undefined
  /** 0–1; 0.5 is just enough. */
  readonly score: number
  /** For people, in English. */
  readonly explanation: string
}

/** The same for every leak, sensor and town; how they were chosen: `docs/decisions/leaks.md`. */
export const parameters = {
  /** Local hours of the nightly window. */
  window: { from: 2, to: 4 },
  /** Milliseconds after the window in which its readings may still come. */
  grace: 30 * 60_000,
  /** Nights that only teach. */
  learn: 42,
  /** A night becomes part of what is normal only so many nights later, so that a slow leak does not teach. */
  lag: 28,
  /** Nights after which a night's share in what is normal has fallen to 1/e. */
  memory: 240,
  /** Readings a sensor needs in a night, of the most that any had. */
  share: 0.5,
  /** CUSUM: what is taken off each night, the most that one night counts (both in deviations), and how much is enough. */
  slack: 0.75,
  most: 7,
  enough: 12,
  /** The same for the inflow alone, which is much less sure. */
  inflow: { slack: 1, most: 4, enough: 12 },
  /** Nights in which the pattern of a leak that was found is still refined. */
  settle: 28,
  /** Known leaks that are told apart at once; a further one replaces the oldest. */
  known: 8
} as const
