/** What both sides of the readings' kill test know: who sends, and when an alert is due. */
import { defineRule } from "@mahalla/core"

export const slug = "samarkand"
export const devices = ["pump-1", "pump-2", "pump-3", "pump-4"]
export const tokenOf = (name: string) => `token-of-the-device-${name}`

export const highPressure = defineRule({
  id: "high-pressure",
  version: 1,
  title: { en: "Pressure too high" },
  scope: { kind: "each", profiles: ["pressure sensor"] },
  levels: [
    {
      severity: "major",
      condition: { kind: "compare", datastream: "pressure", is: "above", than: { kind: "constant", value: 10 } }
    }
  ]
})

/** Milliseconds between two readings, and of how many the pressure is too high once: seldom enough for no alert to flap. */
const [minute, low, high] = [60_000, 90, 10] as const
const period = low + high

export const valueOf = (place: number): number => (place % period >= low ? 15 : 5)
export const timeOf = (begin: number, place: number, every: number = minute): number => begin + place * every

/** A reading's message, by its place in the order. */
export type MessageOf = (place: number) => string

export const pressureFrom =
  (begin: number, every: number = minute): MessageOf =>
  (place) =>
    JSON.stringify({ ts: timeOf(begin, place, every), values: { pressure: valueOf(place) } })
