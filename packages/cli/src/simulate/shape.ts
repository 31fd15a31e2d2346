/** What a healthy network measures: days with a morning and an evening, weeks with their end. Pure; times in epoch milliseconds. */
import { chance, wobble } from "./noise.ts"

export type Kind = "meter" | "tank" | "quality"

/** Of ten devices seven measure pressure and flow, one a tank's level, two the water's quality. */
export const kindOf = (device: number): Kind => {
  const place = device % 10
  return place < 7 ? "meter" : place === 7 ? "tank" : "quality"
}

export type Values = Readonly<Record<string, number>>

const bump = (hour: number, at: number, width: number) => {
  const far = Math.abs(hour - at)
  return Math.exp(-((Math.min(far, 24 - far) / width) ** 2))
}

/** Share of the largest demand, 0–1. At weekends people get up later. */
export const demand = (at: number): number => {
  const hour = (at / 3_600_000) % 24
  const day = Math.floor(at / 86_400_000 + 4) % 7
  const free = day === 0 || day === 6
  return Math.min(1, 0.25 + 0.75 * bump(hour, free ? 9.5 : 7.5, 2) * (free ? 0.85 : 1) + 0.6 * bump(hour, 19.5, 2.5))
}

/** As the sensor writes it. */
const rounded = (value: number, digits: number) => Number(value.toFixed(digits))

/** What leaks and drift add. */
export interface Disturbance {
  /** m³/h. */
  readonly loss: number
  /** In units of the value: what the sensor shows too much. */
  readonly offset: number
}

export const measured = (seed: number, device: number, at: number, { loss, offset }: Disturbance): Values => {
  const own = chance(seed, device, 7)
  const noise = (what: number) => wobble(seed, device, at, what)
  const used = demand(at)
  switch (kindOf(device)) {
    case "meter": {
      const flow = (8 + 40 * own) * used * (1 + 0.04 * noise(1)) + loss
      const pressure = 3.2 + 1.6 * chance(seed, device, 8) - 0.9 * used ** 2 - 0.08 * loss + 0.02 * noise(2)
      return { pressure: rounded(Math.max(0, pressure + offset), 3), flow: rounded(Math.max(0, flow), 2) }
    }
    case "tank":
      return {
        level: rounded(
          2.5 + 1.4 * Math.cos(((at / 3_600_000 - 5) / 12) * Math.PI) * (0.6 + 0.4 * own) + offset + 0.01 * noise(1),
          3
        )
      }
    case "quality":
      return {
        chlorine: rounded(Math.max(0, 0.35 + 0.2 * own - 0.08 * used + offset / 10 + 0.01 * noise(1)), 3),
        turbidity: rounded(Math.max(0, 0.4 + 0.3 * own + 0.05 * noise(2)), 3),
        temperature: rounded(14 + 3 * Math.sin((at / 86_400_000 / 365) * 2 * Math.PI) + offset + 0.1 * noise(3), 2)
      }
  }
}
