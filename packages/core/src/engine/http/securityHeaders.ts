/**
 * What browsers are told with every answer: never guess a type, never be framed, run nothing, tell no other site where one came from (OWASP
 * Secure Headers, Fetch metadata). A page says by the hashes of its own scripts and styles what may run in it.
 */
import { createHash } from "node:crypto"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

const always = {
  "x-content-type-options": "nosniff",
  // For browsers that do not know frame-ancestors.
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin"
}

/** For whatever is no page: even opened as one it can do nothing. */
const nothing = "default-src 'none'; frame-ancestors 'none'"

/** A year; subdomains are not ours to promise for. */
const transportSecurity = "max-age=31536000"

const hashes = (html: string, tag: "script" | "style") => {
  const found = [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, "g"))].map(
    ([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`
  )
  return found.length === 0 ? "'none'" : found.join(" ")
}

/** Answers with a page of ours, whose inline scripts and styles run and nothing else. It may ask this city's API. */
export const page = (html: string) =>
  HttpServerResponse.html(html).pipe(
    HttpServerResponse.setHeaders({
      "content-security-policy": `default-src 'none'; script-src ${hashes(html, "script")}; style-src ${hashes(html, "style")}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      "cross-origin-opener-policy": "same-origin",
      "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    })
  )

/** Those that an answer lacks. `https`: whether the city is reached by it, so that browsers may insist. */
export const securityHeaders = (
  given: Readonly<Record<string, string | undefined>>,
  https: boolean
): Readonly<Record<string, string>> => {
  const all = {
    ...always,
    "content-security-policy": nothing,
    ...(https ? { "strict-transport-security": transportSecurity } : {})
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => given[name] === undefined))
}
