/**
 * Requests that a proxy and we could read differently (request smuggling, RFC 9112 section 11.2), or that have more headers than anybody
 * needs. Node's parser refuses most of them by itself: both lengths at once, broken chunks, headers over 16 KiB.
 */
import type { IncomingMessage, ServerResponse } from "node:http"

/** Headers of which one proxy takes the first and another the last. */
const single: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding", "authorization", "origin"])

/** Lines of headers. */
const mostHeaders = 100

/** Status and reason, or undefined for a request that means one thing. */
const mistake = ({ headers, httpVersion, rawHeaders }: IncomingMessage): readonly [number, string] | undefined => {
  if (rawHeaders.length > mostHeaders * 2) return [431, `A request may have ${mostHeaders} headers; send fewer.`]
  const seen = new Set<string>()
  for (let place = 0; place < rawHeaders.length; place += 2) {
    const name = rawHeaders[place]!.toLowerCase()
    if (single.has(name) && seen.has(name)) return [400, `The header ${name} may stand in a request once.`]
    seen.add(name)
  }
  const coding = headers["transfer-encoding"]
  if (coding === undefined) return undefined
  // Before 1.1 nobody knew chunks, so somebody in between has passed on what it did not understand.
  if (httpVersion !== "1.1") return [400, `HTTP/${httpVersion} has no transfer-encoding.`]
  return coding.toLowerCase() === "chunked" ? undefined : [400, "The only transfer-encoding taken is chunked."]
}

/** Answers such a request and closes its connection; false when there is nothing wrong with it. */
export const refuseAmbiguous = (request: IncomingMessage, response: ServerResponse): boolean => {
  const found = mistake(request)
  if (found === undefined) return false
  const [status, detail] = found
  const title = status === 431 ? "Headers too large" : "Bad request"
  response
    .writeHead(status, { "content-type": "application/problem+json", connection: "close" })
    .end(JSON.stringify({ type: "urn:mahalla:problem:framing", title, status, detail, requestId: "none" }))
  return true
}
