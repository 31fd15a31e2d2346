/** What a decoder answers with, and the one place where values on their way in are taken or left out, whatever the format. */
import * as Result from "effect/Result"
import type { CommandState } from "../../../ports/DeviceIngest.ts"
import type { DeadReason, Decoded, DecodedReading, DeviceStatus } from "../model.ts"

/** A message that cannot be read. Text for operators; strings of the sender stand in it escaped. */
export interface DecodeFailure {
  readonly reason: DeadReason
  readonly message: string
}

/** One value that cannot be used, in a message whose others can. */
export interface Rejection extends DecodeFailure {
  readonly device?: string
  readonly key?: string
}

/** What one message holds, and what had to be left out of it. */
export interface Decoding extends Decoded {
  readonly rejected: ReadonlyArray<Rejection>
  /** Answers to commands, by our id: what a network server says of a downlink, and of which device. */
  readonly commands: ReadonlyArray<{ readonly id: string; readonly state: CommandState; readonly device?: string }>
}

export type DecodeResult = Result.Result<Decoding, DecodeFailure>

/** Bytes of one message; a batch of 10,000 readings has room. */
export const maxBytes = 1_048_576
/** Readings and attributes of one message. */
export const maxValues = 10_000
/** Characters of an attribute's JSON. */
const maxText = 10_000
const maxDepth = 8
const maxRemarks = 100

export const failed = (reason: DeadReason, message: string): Result.Result<never, DecodeFailure> =>
  Result.fail({ reason, message })

/** A sender's text inside a message for people: short, on one line, without characters that PostgreSQL or a terminal would choke on. */
export const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Text that PostgreSQL can store: no NUL, no half of a surrogate pair. */
const isStorable = (text: string) => !text.includes("\u0000") && text.isWellFormed()

const isPlain = (value: unknown, depth = 0): boolean => {
  if (typeof value === "string") return isStorable(value)
  if (typeof value === "number") return Number.isFinite(value)
  if (typeof value === "boolean" || value === null) return true
  if (depth >= maxDepth || typeof value !== "object") return false
  return Object.entries(value).every(
    ([key, inner]) => isStorable(key) && key !== "__proto__" && isPlain(inner, depth + 1)
  )
}

/** Whether a value may become an attribute: what `jsonb` holds, neither deep nor long. */
const isAttribute = (value: unknown): boolean => isPlain(value) && JSON.stringify(value).length <= maxText

const isKey = /^[A-Za-z0-9_.:/-]{1,100}$/

/** The datastream's key of a name: runs of white space become `_`; undefined where no datastream can be called so. */
export const keyOf = (name: string): string | undefined => {
  const key = name.trim().replace(/\s+/g, "_")
  return isKey.test(key) && key !== "__proto__" ? key : undefined
}

/** A unit's name as a message may give it. */
export const isUnit = (value: unknown): value is string =>
  typeof value === "string" && value.length <= 50 && isStorable(value)

/** Name of a device that a message names: up to 200 characters, none of them a control character. */
export const isDeviceName = (value: unknown): value is string =>
  typeof value === "string" &&
  value.length > 0 &&
  value.length <= 200 &&
  value.isWellFormed() &&
  !/\p{Cc}/u.test(value) &&
  value !== "__proto__"

/** Epoch milliseconds that a date can have. */
export const isTime = (value: unknown): value is number => typeof value === "number" && Math.abs(value) <= 8.64e15

export const isSequence = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 4_294_967_295

/** Where a value belongs. `device` undefined: the sender itself. */
export interface Place {
  readonly device?: string | undefined
  readonly at: number
  readonly sequence?: number | undefined
  readonly unit?: string | undefined
  readonly historical?: boolean | undefined
}

type StatusFields = Omit<DeviceStatus, "device" | "at" | "attributes">

/** Gathers what one message holds. */
export const gather = () => {
  const readings: Array<DecodedReading> = []
  const statuses = new Map<string, { status: DeviceStatus; readonly attributes: Map<string, unknown> }>()
  const commands: Array<Decoding["commands"][number]> = []
  const warnings: Array<string> = []
  const rejected: Array<Rejection> = []
  let values = 0

  const reject = (reason: DeadReason, message: string, where: { device?: string | undefined; key?: string } = {}) => {
    if (rejected.length < maxRemarks)
      rejected.push({
        reason,
        message,
        ...(where.device === undefined ? {} : { device: where.device }),
        ...(where.key === undefined ? {} : { key: where.key })
      })
  }

  const status = ({ device, at }: Place, more: StatusFields = {}) => {
    const id = `${at} ${device ?? ""}`
    const found = statuses.get(id) ?? {
      status: { ...(device === undefined ? {} : { device }), at },
      attributes: new Map<string, unknown>()
    }
    found.status = { ...found.status, ...more }
    statuses.set(id, found)
    return found
  }

  const reading = (place: Place, name: string, value: unknown) => {
    if (++values > maxValues) return
    const key = keyOf(name)
    if (key === undefined)
      return reject("unknown-datastream", `No datastream can be called ${quote(name)}.`, { device: place.device })
    const number = typeof value === "boolean" ? Number(value) : value
    if (typeof number !== "number" || !Number.isFinite(number))
      return reject("not-a-number", `The value of ${key} is not a finite number.`, { device: place.device, key })
    readings.push({
      ...(place.device === undefined ? {} : { device: place.device }),
      key,
      at: place.at,
      ...(place.sequence === undefined ? {} : { sequence: place.sequence }),
      value: number,
      ...(place.unit === undefined ? {} : { unit: place.unit }),
      ...(place.historical === true ? { historical: true } : {})
    })
  }

  const attribute = (place: Place, name: string, value: unknown) => {
    if (++values > maxValues) return
    if (name.length === 0 || name.length > 100 || !isStorable(name) || name === "__proto__" || !isAttribute(value))
      return reject("malformed", `The attribute ${quote(name)} is too long, too deep or holds what cannot be stored.`, {
        device: place.device
      })
    status(place).attributes.set(name, value)
  }

  const held = (): Decoding => ({
    readings,
    statuses: [...statuses.values()].map(({ status, attributes }) =>
      attributes.size === 0 ? status : { ...status, attributes: Object.fromEntries(attributes) }
    ),
    warnings,
    rejected,
    commands
  })

  return {
    reading,
    attribute,
    status: (place: Place, more: StatusFields): void => {
      status(place, more)
    },
    reject,
    command: ({ device }: Place, id: string, state: CommandState) =>
      commands.push({ id, state, ...(device === undefined ? {} : { device }) }),
    warn: (warning: string) => {
      if (warnings.length < maxRemarks) warnings.push(warning)
    },
    held,
    /** Fails where nothing of use came and something was wrong: such a message is to be kept, not to be forgotten. */
    done: (): DecodeResult => {
      if (values > maxValues)
        return failed("too-large", `A message holds at most ${maxValues} values. Send them in several messages.`)
      const [first] = rejected
      return first !== undefined && readings.length === 0 && statuses.size === 0 && commands.length === 0
        ? failed(first.reason, first.message)
        : Result.succeed(held())
    }
  }
}

export type Gathering = ReturnType<typeof gather>
