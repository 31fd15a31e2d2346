/** JSON as devices send it. Of two members with one name the last counts. */
import * as Result from "effect/Result"
import { type DecodeFailure, failed, maxBytes } from "./decoding.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** Fails as `malformed` where the bytes are no UTF-8 or the text is no JSON, as `too-large` above 1 MiB. */
export const parseJson = (payload: Uint8Array): Result.Result<unknown, DecodeFailure> => {
  if (payload.length > maxBytes) return failed("too-large", `A message has at most ${maxBytes} bytes.`)
  try {
    return Result.succeed(JSON.parse(utf8.decode(payload)) as unknown)
  } catch {
    return failed("malformed", "The payload is not JSON in UTF-8.")
  }
}
