/**
 * The JSON of ThingsBoard's device and gateway APIs, which most firmware for small controllers can already send.
 *
 * Numbers and booleans are readings. A text that is a whole decimal number of at most 15 digits is one too, as ThingsBoard reads it;
 * other texts, objects and arrays become attributes of the device. `null` is left out with a warning.
 */
import * as Result from "effect/Result"
import type { IngestMessage } from "../../../ports/DeviceIngest.ts"
import { readBatch } from "./batch.ts"
import { type DecodeResult, failed, gather, type Gathering, isDeviceName, isRecord, isTime, quote } from "./decoding.ts"
import { parseJson } from "./json.ts"

/** A decimal as JSON writes it, short enough to lose nothing: serial numbers with zeros in front or of many digits stay texts. */
const numberIn = (text: string): number | undefined =>
  text.length <= 24 && /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) && text.match(/\d/g)!.length <= 15
    ? Number(text)
    : undefined

const values = (into: Gathering, device: string | undefined, at: number, record: Readonly<Record<string, unknown>>) => {
  const place = { device, at }
  for (const [name, value] of Object.entries(record)) {
    if (value === null) into.warn(`${quote(name)} is null.`)
    else if (typeof value === "number" || typeof value === "boolean") into.reading(place, name, value)
    else {
      const number = typeof value === "string" ? numberIn(value) : undefined
      if (number === undefined) into.attribute(place, name, value)
      else into.reading(place, name, number)
    }
  }
}

/** `{key: value}` or `{ts, values}`; `ts` in epoch milliseconds, default: when it was received. */
const record = (into: Gathering, device: string | undefined, receivedAt: number, entry: unknown) => {
  if (!isRecord(entry)) return into.reject("malformed", "Expected an object of values.", { device })
  if (entry["ts"] === undefined || entry["values"] === undefined) return values(into, device, receivedAt, entry)
  const ts = typeof entry["ts"] === "string" ? numberIn(entry["ts"]) : entry["ts"]
  if (!isTime(ts)) return into.reject("malformed", "ts is no time in epoch milliseconds.", { device })
  if (!isRecord(entry["values"])) return into.reject("malformed", "values is no object.", { device })
  values(into, device, Math.round(ts), entry["values"])
}

/** `{key: value}`, `{ts, values}`, arrays of either, or our own batch: `{readings: [{key, at, value, …}]}`. */
export const decodeTelemetry = (message: IngestMessage): DecodeResult =>
  Result.flatMap(parseJson(message.payload), (body) => {
    if (!isRecord(body) && !Array.isArray(body))
      return failed("malformed", "Expected an object or an array of objects.")
    const into = gather()
    if (isRecord(body) && Array.isArray(body["readings"])) readBatch(into, body["readings"], { at: message.receivedAt })
    else
      for (const entry of Array.isArray(body) ? (body as ReadonlyArray<unknown>) : [body])
        record(into, undefined, message.receivedAt, entry)
    return into.done()
  })

/** `{device: [{ts, values}, …]}` */
export const decodeGateway = (message: IngestMessage): DecodeResult =>
  Result.flatMap(parseJson(message.payload), (body) => {
    if (!isRecord(body)) return failed("malformed", "Expected an object with an array for each device.")
    const into = gather()
    for (const [device, entries] of Object.entries(body)) {
      if (!isDeviceName(device)) into.reject("unknown-device", `No device can be called ${quote(device)}.`)
      else if (!Array.isArray(entries)) into.reject("malformed", `${quote(device)} has no array of values.`, { device })
      else for (const entry of entries as ReadonlyArray<unknown>) record(into, device, message.receivedAt, entry)
    }
    return into.done()
  })

/** `{key: value}` that is a state: every value stays as it is. */
export const decodeAttributes = (message: IngestMessage): DecodeResult =>
  Result.flatMap(parseJson(message.payload), (body) => {
    if (!isRecord(body)) return failed("malformed", "Expected an object of attributes.")
    const into = gather()
    for (const [name, value] of Object.entries(body)) into.attribute({ at: message.receivedAt }, name, value)
    return into.done()
  })

/** `{device: {key: value}}` */
export const decodeGatewayAttributes = (message: IngestMessage): DecodeResult =>
  Result.flatMap(parseJson(message.payload), (body) => {
    if (!isRecord(body)) return failed("malformed", "Expected an object with attributes for each device.")
    const into = gather()
    for (const [device, attributes] of Object.entries(body)) {
      if (!isDeviceName(device)) into.reject("unknown-device", `No device can be called ${quote(device)}.`)
      else if (!isRecord(attributes)) into.reject("malformed", `${quote(device)} has no attributes.`, { device })
      else
        for (const [name, value] of Object.entries(attributes))
          into.attribute({ device, at: message.receivedAt }, name, value)
    }
    return into.done()
  })
