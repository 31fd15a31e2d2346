/**
 * Messages of devices as bodies that the city takes from a gateway: ThingsBoard's gateway JSON for values and texts, our own batch where readings have
 * a sequence or a unit. Values without a time get that of their arrival, so that a body that is sent twice says the same twice.
 *
 * What is not JSON (a profile's own bytes, CBOR, a broken text) cannot be told apart here. It goes as an entry that the city does not understand, and
 * lies in its dead letters with all its bytes. Pure.
 */
import type { EdgeRecord } from "./frame.ts"

/** A part of a body; parts of one kind go together. */
export interface Part {
  readonly kind: "gateway" | "readings"
  readonly device: string
  /** JSON. */
  readonly text: string
  /** Of the device's values in it. */
  readonly values: number
  /** Goes alone: the city keeps a body with something unusable as a whole. */
  readonly alone: boolean
}

type Json = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const utf8 = new TextDecoder("utf-8", { fatal: true })

const parsed = (payload: Uint8Array): unknown => {
  try {
    return JSON.parse(utf8.decode(payload)) as unknown
  } catch {
    return undefined
  }
}

const gateway = (device: string, value: unknown, values: unknown): Part => ({
  kind: "gateway",
  device,
  text: JSON.stringify(value),
  values: isRecord(values) ? Object.keys(values).length : 1,
  alone: !isRecord(values)
})

const odd = ({ device, format, payload }: EdgeRecord): Part =>
  gateway(device, `${format}, base64: ${Buffer.from(payload).toString("base64")}`, undefined)

/** An entry with its time. */
const entry = (device: string, at: number, value: unknown): Part =>
  isRecord(value) && (value["ts"] === undefined || value["values"] === undefined)
    ? gateway(device, { ts: at, values: value }, value)
    : gateway(device, value, isRecord(value) ? value["values"] : undefined)

/** What a plain device says of another one goes as a dead letter: under the edge's own token the city would believe it. */
const reading = ({ device, gateway: mayName }: EdgeRecord, at: number, value: unknown): Part => {
  const of = isRecord(value) ? (value["device"] ?? device) : device
  if (of !== device && !mayName)
    return gateway(device, `not-allowed: it names another device: ${JSON.stringify(value)}`, undefined)
  return {
    kind: "readings",
    device,
    text: JSON.stringify(isRecord(value) ? { at, ...value, device: of } : value),
    values: 1,
    alone: !isRecord(value)
  }
}

/** What would be a reading in a gateway's body is wrapped where it stands among attributes. */
const attributes = (value: Json): Json =>
  Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      typeof one === "number" || typeof one === "boolean" || (typeof one === "string" && !Number.isNaN(Number(one)))
        ? { value: one }
        : one
    ])
  )

const read = (record: EdgeRecord, at: number): ReadonlyArray<Part> => {
  const { device, format } = record
  const body = parsed(record.payload)
  switch (format) {
    case "json":
    case "profile":
      if (Array.isArray(body)) return body.map((one) => entry(device, at, one))
      if (!isRecord(body)) return [odd(record)]
      return Array.isArray(body["readings"])
        ? body["readings"].map((one) => reading(record, at, one))
        : [entry(device, at, body)]
    case "gateway-json":
      if (!isRecord(body)) return [odd(record)]
      return Object.entries(body).flatMap(([child, entries]) =>
        Array.isArray(entries) ? entries.map((one) => entry(child, at, one)) : [odd(record)]
      )
    case "attributes":
      return isRecord(body) ? [entry(device, at, { ts: at, values: attributes(body) })] : [odd(record)]
    case "gateway-attributes":
      if (!isRecord(body)) return [odd(record)]
      return Object.entries(body).map(([child, one]) =>
        isRecord(one) ? entry(child, at, { ts: at, values: attributes(one) }) : odd(record)
      )
    default:
      return [odd(record)]
  }
}

/** Bytes of a part at most: less than the city takes, which would refuse it for ever. A message is smaller, but numbers may be written longer. */
const partBytes = 900_000

const bytesOf = ({ device, text }: Part) => Buffer.byteLength(text) + Buffer.byteLength(JSON.stringify(device))

/** `at`: when the record arrived, corrected. What is too deep or too long to be written again goes as it came. */
export const partsOf = (record: EdgeRecord, at: number): ReadonlyArray<Part> => {
  try {
    const parts = read(record, at)
    return parts.every((part) => bytesOf(part) <= partBytes) ? parts : [odd(record)]
  } catch {
    return [odd(record)]
  }
}

export interface Body {
  readonly kind: Part["kind"]
  readonly text: string
}

/** Bytes and values of one body, unless a single part has more: half of what the city takes. */
const bodyBytes = 524_288
const bodyValues = 5_000

/** The parts as bodies, in their order. */
export const bodiesOf = (parts: ReadonlyArray<Part>): ReadonlyArray<Body> => {
  const bodies: Array<Body> = []
  let open:
    | {
        readonly kind: Part["kind"]
        readonly parts: Array<Part>
        bytes: number
        values: number
        readonly alone: boolean
      }
    | undefined
  const end = () => {
    if (open === undefined) return
    bodies.push({ kind: open.kind, text: open.kind === "gateway" ? byDevice(open.parts) : batch(open.parts) })
    open = undefined
  }
  for (const part of parts) {
    if (
      open === undefined ||
      open.kind !== part.kind ||
      open.alone ||
      part.alone ||
      open.values + part.values > bodyValues ||
      open.bytes + bytesOf(part) > bodyBytes
    ) {
      end()
      open = { kind: part.kind, parts: [], bytes: 0, values: 0, alone: part.alone }
    }
    open.parts.push(part)
    open.bytes += bytesOf(part)
    open.values += part.values
  }
  end()
  return bodies
}

const byDevice = (parts: ReadonlyArray<Part>): string => {
  const devices = new Map<string, Array<string>>()
  for (const { device, text } of parts) {
    const known = devices.get(device)
    if (known === undefined) devices.set(device, [text])
    else known.push(text)
  }
  return `{${[...devices].map(([device, texts]) => `${JSON.stringify(device)}:[${texts.join(",")}]`).join(",")}}`
}

const batch = (parts: ReadonlyArray<Part>): string => `{"readings":[${parts.map(({ text }) => text).join(",")}]}`
