/**
 * SenML (RFC 8428) as JSON and as CBOR, one meaning for both.
 *
 * The resolved name is the key. Where it begins with a device URN (RFC 9039, `urn:dev:…`) only what follows the URN is, and the URN is
 * the device for a gateway; any other sender speaks of itself whatever it calls itself. A sum is the reading `<key>:sum`. Texts are
 * attributes; data values are left out with a warning.
 */
import { decode as decodeCbor, Tokenizer } from "cborg"
import * as Result from "effect/Result"
import type { IngestMessage } from "../../../ports/DeviceIngest.ts"
import {
  type DecodeFailure,
  type DecodeResult,
  failed,
  gather,
  isRecord,
  isTime,
  isUnit,
  maxBytes,
  maxValues
} from "./decoding.ts"
import { parseJson } from "./json.ts"
import { ucum } from "./units.ts"

/** Section 6, table 6: labels of the CBOR form. */
const labels = new Map<unknown, string>([
  [-1, "bver"],
  [-2, "bn"],
  [-3, "bt"],
  [-4, "bu"],
  [-5, "bv"],
  [-6, "bs"],
  [0, "n"],
  [1, "u"],
  [2, "v"],
  [3, "vs"],
  [4, "vb"],
  [5, "s"],
  [6, "t"],
  [7, "ut"],
  [8, "vd"]
])

const numbers = new Set(["bver", "bt", "bv", "bs", "v", "s", "t", "ut"])
const texts = new Set(["bn", "bu", "n", "u", "vs"])
/** Newest version that is understood, and the default. */
const version = 10
/** Times below, in seconds, are relative to now: section 4.5.3. */
const absolute = 2 ** 28
const name = /^[A-Za-z0-9][A-Za-z0-9:./_-]*$/
const urn = /^(urn:dev:[a-z]+:[A-Za-z0-9.-]+)[:/_](.+)$/

interface Base {
  readonly bn: string
  readonly bt: number
  readonly bu: string | undefined
  readonly bv: number | undefined
  readonly bs: number | undefined
}

type Fields = ReadonlyMap<string, unknown>

/** What forbids the whole pack: a newer version, a field that must be understood, a field of the wrong type. */
const flaw = (record: Fields): string | undefined => {
  for (const [label, value] of record) {
    if (label.endsWith("_")) return `The field ${JSON.stringify(label.slice(0, 60))} must be understood, and is not.`
    if (numbers.has(label) && typeof value !== "number") return `${label} is not a number.`
    if (texts.has(label) && typeof value !== "string") return `${label} is not a text.`
    if (label === "vb" && typeof value !== "boolean") return "vb is not a boolean."
    if (label === "bver" && !((value as number) <= version)) return `Versions above ${version} are not understood.`
  }
  const values = ["v", "vs", "vb", "vd"].filter((label) => record.has(label))
  return values.length > 1 ? `A record has one value, not ${values.join(" and ")}.` : undefined
}

const resolve = (pack: ReadonlyArray<Fields>, message: IngestMessage, gateway: boolean): DecodeResult => {
  if (pack.length > maxValues) return failed("too-large", `A pack has at most ${maxValues} records.`)
  const into = gather()
  let base: Base = { bn: "", bt: 0, bu: undefined, bv: undefined, bs: undefined }
  for (const record of pack) {
    const wrong = flaw(record)
    if (wrong !== undefined) return failed("malformed", wrong)
    const get = <A>(label: string) => record.get(label) as A | undefined
    base = {
      bn: get<string>("bn") ?? base.bn,
      bt: get<number>("bt") ?? base.bt,
      bu: get<string>("bu") ?? base.bu,
      bv: get<number>("bv") ?? base.bv,
      bs: get<number>("bs") ?? base.bs
    }
    // A record may carry base fields for those after it and nothing else.
    if (![...record.keys()].some((label) => labelsOfRecords.has(label))) continue

    const full = base.bn + (get<string>("n") ?? "")
    const [, device, rest] = urn.exec(full) ?? [undefined, undefined, full]
    if (!name.test(full) || rest === undefined) {
      into.reject("malformed", `${JSON.stringify(full.slice(0, 60))} is no SenML name.`)
      continue
    }
    const seconds = base.bt + (get<number>("t") ?? 0)
    const at = Math.round(seconds < absolute ? message.receivedAt + seconds * 1_000 : seconds * 1_000)
    if (!isTime(at)) {
      into.reject("malformed", "A time is beyond all calendars.")
      continue
    }
    const unit = get<string>("u") ?? base.bu
    if (unit !== undefined && !isUnit(unit)) {
      into.reject("wrong-unit", "A unit's name is longer than 50 characters.")
      continue
    }
    const place = { device: gateway ? device : undefined, at, unit: unit === undefined ? undefined : ucum(unit) }
    const text = get<string>("vs")
    const truth = get<boolean>("vb")
    const sum = get<number>("s")
    if (text !== undefined) into.attribute(place, rest, text)
    else if (truth !== undefined) into.reading({ ...place, unit: undefined }, rest, truth)
    else if (record.has("vd")) into.warn(`The data value of ${rest.slice(0, 60)} is left out.`)
    else if (record.has("v") || base.bv !== undefined)
      into.reading(place, rest, (base.bv ?? 0) + (get<number>("v") ?? 0))
    if (sum !== undefined || base.bs !== undefined)
      into.reading({ ...place, unit: undefined }, `${rest}:sum`, (base.bs ?? 0) + (sum ?? 0))
  }
  return into.done()
}

const labelsOfRecords = new Set(["n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"])

/** A gateway's names of devices count; anybody else speaks of itself. */
export const decodeSenmlJson = (message: IngestMessage, gateway: boolean): DecodeResult =>
  Result.flatMap(parseJson(message.payload), (body) => {
    if (!Array.isArray(body) || !body.every(isRecord))
      return failed("malformed", "A SenML pack is an array of records.")
    return resolve(
      body.map((record) => new Map(Object.entries(record))),
      message,
      gateway
    )
  })

/** Heads of items in 10,000 records of a dozen fields; a byte each in the worst case, so that size alone is no bound. */
const maxItems = 26 * maxValues

/** cborg's reader that gives up at a number of items. */
class Bounded extends Tokenizer {
  #items = 0
  override next() {
    if (++this.#items > maxItems) throw new Error("too many items")
    return super.next()
  }
}

const parseCbor = (payload: Uint8Array): Result.Result<unknown, DecodeFailure> => {
  if (payload.length > maxBytes) return failed("too-large", `A message has at most ${maxBytes} bytes.`)
  const options = { allowBigInt: true, useMaps: true, rejectDuplicateMapKeys: true }
  try {
    return Result.succeed(
      decodeCbor(payload, {
        ...options,
        tokenizer: new Bounded(payload, options),
        // Decimal fractions: section 6 leaves numbers to the sender.
        tags: { 4: (inner) => decimal(inner()) }
      }) as unknown
    )
  } catch {
    return failed("malformed", "The payload is not CBOR with the types of SenML.")
  }
}

const decimal = (parts: unknown): number => {
  if (!Array.isArray(parts) || !parts.every((part) => typeof part === "number")) throw new Error("no decimal fraction")
  const [exponent, mantissa] = parts as ReadonlyArray<number>
  // Through text, so that 1 in 10^-1 is the double nearest to 0.1.
  return Number(`${mantissa}e${exponent}`)
}

/** As `decodeSenmlJson`. */
export const decodeSenmlCbor = (message: IngestMessage, gateway: boolean): DecodeResult =>
  Result.flatMap(parseCbor(message.payload), (body) => {
    if (!Array.isArray(body) || !body.every((record) => record instanceof Map))
      return failed("malformed", "A SenML pack is an array of records.")
    return resolve(
      (body as ReadonlyArray<Map<unknown, unknown>>).map(
        (record) =>
          new Map(
            [...record].map(([label, value]) => [
              labels.get(label) ?? String(label),
              typeof value === "bigint" ? Number(value) : value
            ])
          )
      ),
      message,
      gateway
    )
  })
