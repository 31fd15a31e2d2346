/** Values of Sparkplug's data types (section 6.4.16), as they come and as they are sent. */
import Long from "long"
import { bits, type CommandMetric, type Metric } from "./payload.ts"

export type Value =
  | { readonly number: number }
  /** A state, not a measured quantity. */
  | { readonly text: string }
  /** Left out, and why. */
  | { readonly left: string }
  /** Only a new birth can tell what it is. */
  | { readonly untyped: true }

/** Width in bits and whether the first of them is a sign, of types 1–8: Int8 … UInt64. Signed ones travel as two's complement. */
const integers: ReadonlyMap<number, { readonly width: number; readonly signed: boolean }> = new Map([
  [1, { width: 8, signed: true }],
  [2, { width: 16, signed: true }],
  [3, { width: 32, signed: true }],
  [4, { width: 64, signed: true }],
  [5, { width: 8, signed: false }],
  [6, { width: 16, signed: false }],
  [7, { width: 32, signed: false }],
  [8, { width: 64, signed: false }]
])
const float = 9
const double = 10
const boolean = 11
const string = 12
const dateTime = 13
const text = 14
const uuid = 15

const wrong: Value = { left: "its value is not of its type" }

/** Encoders differ in whether a UInt32 or a small integer goes into the field of 32 or of 64 bits. */
const whole = ({ intValue, longValue }: Metric): bigint | undefined =>
  intValue !== undefined ? BigInt(intValue) : longValue !== undefined ? bits(longValue) : undefined

/** `known`: the type that the last birth gave it. */
export const valueOf = (metric: Metric, known: number | undefined): Value => {
  const type = metric.datatype ?? known
  if (metric.isNull === true) return { left: "it is null" }
  if (type === undefined) {
    const { booleanValue, doubleValue, floatValue, stringValue } = metric
    const number = floatValue ?? doubleValue ?? (booleanValue === undefined ? undefined : Number(booleanValue))
    return number !== undefined ? { number } : stringValue !== undefined ? { text: stringValue } : { untyped: true }
  }
  const integer = integers.get(type)
  if (integer !== undefined) {
    const raw = whole(metric)
    if (raw === undefined) return wrong
    return { number: Number(integer.signed ? BigInt.asIntN(integer.width, raw) : BigInt.asUintN(integer.width, raw)) }
  }
  if (type === float || type === double) {
    const number = metric.floatValue ?? metric.doubleValue
    return number === undefined ? wrong : { number }
  }
  if (type === boolean) return metric.booleanValue === undefined ? wrong : { number: Number(metric.booleanValue) }
  if (type === string || type === text || type === uuid)
    return metric.stringValue === undefined ? wrong : { text: metric.stringValue }
  if (type === dateTime) {
    const raw = whole(metric)
    if (raw === undefined || raw > 8_640_000_000_000_000n) return wrong
    return { text: new Date(Number(raw)).toISOString() }
  }
  return { left: `values of type ${type} are not read` }
}

/** A value of JSON as a metric of this type; undefined where it is none of the type's. */
export const metricOf = (name: string, datatype: number, value: unknown): CommandMetric | undefined => {
  const metric = { name, datatype }
  if (value === null) return { ...metric, isNull: true }
  const integer = integers.get(datatype)
  if (integer !== undefined || datatype === dateTime) {
    const { signed, width } = integer ?? { width: 64, signed: false }
    const millis = datatype === dateTime && typeof value === "string" ? Date.parse(value) : value
    if (!Number.isSafeInteger(millis)) return undefined
    const whole = BigInt(millis as number)
    if ((signed ? BigInt.asIntN(width, whole) : BigInt.asUintN(width, whole)) !== whole) return undefined
    return width === 64
      ? { ...metric, longValue: Long.fromString(BigInt.asUintN(64, whole).toString(), true) }
      : { ...metric, intValue: Number(BigInt.asUintN(32, whole)) }
  }
  if (datatype === boolean) return typeof value === "boolean" ? { ...metric, booleanValue: value } : undefined
  if (datatype === float || datatype === double)
    return typeof value !== "number"
      ? undefined
      : datatype === float
        ? { ...metric, floatValue: value }
        : { ...metric, doubleValue: value }
  const textual = datatype === string || datatype === text || datatype === uuid
  return textual && typeof value === "string" ? { ...metric, stringValue: value } : undefined
}
