/**
 * Readings as a district's water meter has them, made up: use by hour and weekday in local time, days that differ, noise that resembles the
 * minute before. Deterministic by seed.
 */
import { utcOffsetIn } from "../modules/telemetry/detect/index.ts"

/** Numbers in [0, 1), the same for the same seed. Steele and others 2014, SplitMix's 32-bit finaliser. */
export const random = (seed: number): (() => number) => {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 4_294_967_296
  }
}

/** Normally distributed, by Box and Muller. */
export const normal = (uniform: () => number) => (): number =>
  Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())

export interface WaterReading {
  readonly at: number
  readonly value: number
  readonly receivedAt: number
}

export const hourMillis = 3_600_000
export const dayMillis = 86_400_000
/** A Monday, at midnight UTC. */
export const monday = Date.UTC(2026, 0, 5)

const peak = (hour: number, at: number, width: number): number => Math.exp(-((hour - at) ** 2) / width)

/** Use in m³/h without any noise: 20 at night, two peaks of about 80 and 70, later and flatter at weekends. */
export const usualUse = (at: number, utcOffset: (at: number) => number): number => {
  const local = at + utcOffset(at) * 1000
  const hour = (local % dayMillis) / hourMillis
  const weekday = Math.floor(local / dayMillis + 4) % 7
  const weekend = weekday === 0 || weekday === 6
  const daytime = hour > 6 && hour < 23 ? 15 : 0
  return 20 + daytime + (weekend ? 30 : 45) * peak(hour, weekend ? 9.5 : 7.5, 5) + 35 * peak(hour, 19.5, 8)
}

export interface WaterOptions {
  readonly seed?: number
  readonly from?: number
  readonly days: number
  /** Seconds. Default 900. */
  readonly interval?: number
  readonly utcOffset?: (at: number) => number
  /** What happens to the use without noise. */
  readonly change?: (value: number, at: number) => number
}

/** Readings of a meter with 0.1 m³/h resolution: days differ by 3 %, single readings by 2 %, and by a wave of three hours of as much. */
export function* waterMeter({
  change = (value) => value,
  days,
  from = monday,
  interval = 900,
  seed = 1,
  utcOffset = utcOffsetIn("UTC")
}: WaterOptions): Generator<WaterReading> {
  const noise = normal(random(seed))
  const fading = Math.exp(-interval / 10_000)
  let [day, ofDay, wave] = [Number.NaN, 1, 0]
  for (let at = from; at < from + days * dayMillis; at += interval * 1000) {
    const today = Math.floor(at / dayMillis)
    if (today !== day) {
      day = today
      ofDay = 1 + 0.03 * noise()
    }
    wave = fading * wave + 0.02 * Math.sqrt(1 - fading * fading) * noise()
    const value = change(usualUse(at, utcOffset), at) * ofDay * (1 + wave + 0.02 * noise())
    yield { at, value: Math.round(value * 10) / 10, receivedAt: at + 2_000 }
  }
}
