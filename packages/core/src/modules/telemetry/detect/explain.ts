/** Numbers and times as a dispatcher reads them. */
import type { DatastreamDefinition } from "../model.ts"
import type { DetectSettings } from "./model.ts"

const two = (part: number): string => String(Math.floor(part)).padStart(2, "0")
const weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]

/** As many decimals as the resolution has, else four digits; without the unit. */
export const amount = (definition: DatastreamDefinition, value: number): string => {
  const { resolution } = definition
  if (resolution === undefined || resolution <= 0) return String(Number(value.toPrecision(4)))
  const text = value.toFixed(Math.min(12, Math.max(0, Math.ceil(-Math.log10(resolution) - 1e-9))))
  return Number(text) === 0 ? text.replace("-", "") : text
}

const unitNames: Readonly<Record<string, string>> = { "1": "", Cel: "°C", m3: "m³", "m3/h": "m³/h" }

/** `2.1 bar` */
export const quantity = (definition: DatastreamDefinition, value: number): string =>
  `${amount(definition, value)} ${unitNames[definition.unit] ?? definition.unit}`.trim()

/** `3.4 to 3.9` */
export const band = (definition: DatastreamDefinition, low: number, high: number): string => {
  const [from, to] = [amount(definition, low), amount(definition, high)]
  return from === to ? from : `${from} to ${to}`
}

const local = (settings: DetectSettings, at: number): number => at / 1000 + (settings.utcOffset?.(at) ?? 0)

/** Local time of day: `03:10`. */
export const clockTime = (settings: DetectSettings, at: number): string => {
  const seconds = ((local(settings, at) % 86_400) + 86_400) % 86_400
  return `${two(seconds / 3600)}:${two((seconds % 3600) / 60)}`
}

/** Local weekday and time: `Tue 03:10`. */
export const weekTime = (settings: DetectSettings, at: number): string =>
  `${weekdays[((Math.floor(local(settings, at) / 86_400) % 7) + 7) % 7]} ${clockTime(settings, at)}`

/** `45 s`, `12 min`, `3 h 20 min`, `5 d` */
export const span = (seconds: number): string => {
  const whole = Math.round(Math.abs(seconds))
  if (whole < 120) return `${whole} s`
  const minutes = Math.round(whole / 60)
  if (minutes < 120) return `${minutes} min`
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? "" : ` ${minutes % 60} min`}`
  return `${Math.round(minutes / 1440)} d`
}
