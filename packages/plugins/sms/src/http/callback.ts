/** What providers tell us: fields of JSON or of a form, for whoever knows the secret end of the address. */
import { timingSafeEqual } from "node:crypto"
import type { CallbackRequest } from "@mahalla/core/plugin"

/** In constant time. */
export const hasToken = ({ path }: CallbackRequest, token: string): boolean => {
  const [given, wanted] = [Buffer.from(path.replace(/^\//, "")), Buffer.from(token)]
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

/** Undefined where it is neither. */
export const fieldsOf = ({ body, headers, query }: CallbackRequest): unknown => {
  const text = Buffer.from(body).toString("utf8")
  if (text === "") return Object.fromEntries(query)
  if (headers["content-type"]?.startsWith("application/x-www-form-urlencoded") === true)
    return Object.fromEntries(new URLSearchParams(text))
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
