/** A street of six houses with a pressure sensor each, fed from one end by one inlet: the smallest network with a leak in it. */
import type { LeakGroup, LeakSensor } from "../modules/telemetry/leaks/group.ts"

export const houses = 6
/** Pressure lost at `sensor` per m³/h drawn at `house`: what both have in common of the way, 1 cm a house. */
const loss = (sensor: number, house: number) => 0.01 * (1 + Math.min(sensor, house))

/** In m of water; the last one in m³/h. */
export const sensors: ReadonlyArray<LeakSensor> = [
  ...Array.from({ length: houses }, (_, house) => ({ id: `p${house}`, name: `p${house}`, kind: "pressure" as const })),
  { id: "inlet", name: "inlet", kind: "inflow" }
]
export const places: NonNullable<LeakGroup["places"]> = Array.from({ length: houses }, (_, house) => ({
  name: `house ${house}`,
  effects: [...Array.from({ length: houses }, (_, sensor) => -loss(sensor, house)), 1]
}))

/** Gaussian, the same for the same numbers (splitmix32, Box and Muller). */
const noise = (...numbers: ReadonlyArray<number>): number => {
  let state = numbers.reduce((sum, number) => Math.imul(sum ^ (number + 1), 0x9e3779b1), 7)
  const next = () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 4_294_967_296
  }
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
}

export interface Leak {
  readonly house: number
  readonly from: number
  /** m³/h, of the nights since. */
  readonly flow: (nights: number) => number
}

export const burst = (house: number, from: number, flow = 1.5): Leak => ({ house, from, flow: () => flow })

/** What each sensor says in a minute of a night. */
export const readingsAt = (night: number, minute: number, leaks: ReadonlyArray<Leak>, seed: number): Array<number> => {
  const all = 1 + 0.05 * noise(seed, night, 900) + (night % 7 === 6 ? 0.3 : 0)
  const drawn = Array.from(
    { length: houses },
    (_, house) => 2 * all * (1 + 0.05 * noise(seed, night, house) + 0.1 * noise(seed, night, house, minute))
  )
  for (const { flow, from, house } of leaks) if (night >= from) drawn[house]! += flow(night - from)
  return [
    ...Array.from(
      { length: houses },
      (_, sensor) =>
        50 -
        drawn.reduce((sum, flow, house) => sum + flow * loss(sensor, house), 0) +
        0.01 * noise(seed, night, sensor, minute, 1)
    ),
    drawn.reduce((sum, flow) => sum + flow, 0)
  ]
}
