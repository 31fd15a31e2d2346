/** What a request asks for, by its method, path and content format. Pure. */
import type { PayloadFormat } from "@mahalla/core/plugin"

/** Codes as RFC 7252 writes them. */
export type Route =
  | { readonly kind: "message"; readonly token: string; readonly format: PayloadFormat; readonly topic: string }
  | { readonly kind: "refused"; readonly code: "4.01" | "4.04" | "4.05" | "4.15" }

/** By IANA's number of the content format, where the path says `telemetry`. */
const byContentFormat = new Map<number | undefined, PayloadFormat>([
  [undefined, "json"],
  [0, "profile"], // text/plain
  [42, "profile"], // application/octet-stream
  [50, "json"],
  [60, "profile"], // application/cbor
  [110, "senml-json"],
  [112, "senml-cbor"]
])

const refused = (code: "4.01" | "4.04" | "4.05" | "4.15"): Route => ({ kind: "refused", code })

/** ThingsBoard: `/api/v1/{token}/telemetry`. Ours: `/mahalla/telemetry?token=…`, and `attributes` in both. */
const target = (path: ReadonlyArray<string>, query: string | undefined) => {
  const [first, second, third, fourth, ...more] = path
  if (first === "mahalla" && third === undefined) return { token: query, what: second, base: "/mahalla" }
  if (first !== "api" || second !== "v1" || more.length > 0) return undefined
  const base = "/api/v1"
  return fourth === undefined ? { token: query, what: third, base } : { token: third, what: fourth, base }
}

/** `code`: the request's, as `0.02` for POST. */
export const routeOf = (
  code: string,
  path: ReadonlyArray<string>,
  queries: ReadonlyArray<string>,
  contentFormat: number | undefined
): Route => {
  const query = queries.find((part) => part.startsWith("token="))?.slice("token=".length)
  const found = target(path, query)
  if (found === undefined || (found.what !== "telemetry" && found.what !== "attributes")) return refused("4.04")
  if (code !== "0.02") return refused("4.05")
  const { base, token, what } = found
  if (token === undefined || token === "") return refused("4.01")
  const attributes = contentFormat === undefined || contentFormat === 50 ? ("attributes" as const) : undefined
  const format = what === "attributes" ? attributes : byContentFormat.get(contentFormat)
  // Without the token, which is a secret: the topic is kept with the message.
  return format === undefined ? refused("4.15") : { kind: "message", token, format, topic: `${base}/${what}` }
}
