/** Who may send to the edge: `devices.json` in its folder, `{"name": "token"}` or `{"name": {"token": …, "gateway": true}}`; read again when it changes. */
import { readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

export interface EdgeDevice {
  readonly name: string
  /** May send for devices behind it. */
  readonly gateway: boolean
}

const Name = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$/))
const Token = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{16,200}$/))
const Devices = Schema.Record(
  Name,
  Schema.Union([Token, Schema.Struct({ token: Token, gateway: Schema.optionalKey(Schema.Boolean) })])
)
const decoder = Schema.decodeUnknownResult(Schema.fromJsonString(Devices))

/** Without the schema's own words: tokens stand in them. */
const decode = (text: string): typeof Devices.Type => {
  const result = decoder(text)
  if (Result.isSuccess(result)) return result.success
  throw new Error(
    "it is not JSON of names (letters, digits, _ . : -) with their tokens (16 to 200 characters without spaces)"
  )
}

export const devicesFile = (folder: string): string => join(folder, "devices.json")

const isName = Schema.is(Name)

export interface EdgeDevices {
  /** By what a device shows. */
  readonly byToken: (token: string) => EdgeDevice | undefined
}

/** Everybody may send, and is called what they show: for a network that nobody else can reach. */
export const everybody: EdgeDevices = {
  byToken: (token) => (isName(token) ? { name: token, gateway: true } : undefined)
}

/** Fails where the file is not there or not in order; a change that cannot be read is told to `complain`, and the devices stay as they were. */
export const readDevices = (folder: string, complain: (error: Error) => void): EdgeDevices => {
  const path = devicesFile(folder)
  const read = () => {
    const tokens = new Map<string, EdgeDevice>()
    for (const [name, given] of Object.entries(decode(readFileSync(path, "utf8")))) {
      const { gateway = false, token } = typeof given === "string" ? { token: given } : given
      tokens.set(token, { name, gateway })
    }
    return tokens
  }
  const stamp = () => {
    const { ino, mtimeMs, size } = statSync(path)
    return `${ino}:${mtimeMs}:${size}`
  }
  let seen = stamp()
  let known = read()
  const fresh = () => {
    try {
      const now = stamp()
      if (now !== seen) {
        seen = now
        known = read()
      }
    } catch (error) {
      complain(error as Error)
    }
    return known
  }
  return { byToken: (token) => fresh().get(token) }
}
