/**
 * Delivery receipts as centres send them: in optional parameters, or as text (`id:… stat:DELIVRD err:000`), with the id in hexadecimal or
 * decimal whatever the answer to the message had.
 */
import type { Ending } from "../book/Book.ts"
import { type decodeMessage, option } from "./pdu.ts"

export interface Receipt {
  /** The centre's id. */
  readonly reference: string
  /** Undefined: on its way, or a state that says nothing. */
  readonly ending: Ending | undefined
  readonly code: string | undefined
}

const byName: Readonly<Record<string, Ending>> = {
  DELIVRD: "delivered",
  EXPIRED: "expired",
  DELETED: "failed",
  UNDELIV: "failed",
  REJECTD: "failed"
}
/** message_state, 5.2.28. */
const byNumber: Readonly<Record<number, Ending>> = {
  2: "delivered",
  3: "expired",
  4: "failed",
  5: "failed",
  8: "failed"
}

const isReceipt = 0x04

export const readReceipt = (message: ReturnType<typeof decodeMessage>): Receipt | undefined => {
  const { esm_class, options, short_message } = message
  if ((esm_class & 0x3c) !== isReceipt) return undefined
  const said = short_message.length > 0 ? short_message : (options.get(option.message_payload) ?? short_message)
  const text = Buffer.from(said).toString("latin1")
  const field = (name: string) => new RegExp(`(?:^|[ ])${name}:([^ ]*)`, "i").exec(text)?.[1]
  const tagged = options.get(option.receipted_message_id)
  const reference = tagged === undefined ? field("id") : tagged.toString("latin1").replace(/\0[^]*$/, "")
  if (reference === undefined || reference === "") return undefined
  const state = options.get(option.message_state)?.[0]
  const name = field("stat")?.toUpperCase()
  const error = field("err")
  const ending = (name === undefined ? undefined : byName[name]) ?? (state === undefined ? undefined : byNumber[state])
  return { reference, ending, code: error === undefined || /^0*$/.test(error) ? undefined : error }
}

/** Under what an id is found: as it is, and as the number that it is in either notation. */
export const keysOf = (reference: string): ReadonlyArray<string> => {
  const text = reference.trim().toLowerCase()
  const numbers = [
    ...(/^\d{1,40}$/.test(text) ? [BigInt(text)] : []),
    ...(/^[0-9a-f]{1,40}$/.test(text) ? [BigInt(`0x${text}`)] : [])
  ]
  return [text, ...numbers.map((number) => `=${number}`)]
}
