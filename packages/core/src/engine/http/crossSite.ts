/**
 * Requests that another site makes in somebody's name (CSRF): refused where a cookie could be what tells who asks, which is so with the login of
 * a host application. Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; programs say neither and have
 * no cookies that a page could use.
 */
import { problem, type ProblemAnswer } from "../../kernel/http/problems.ts"

const safe: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"])

const hostOf = (origin: string) => (URL.canParse(origin) ? new URL(origin).host : undefined)

/** A problem when the request may be another site's; undefined when it is not, or carries no cookie. `allowed`: the tenant's `corsOrigins`. */
export const crossSiteProblem = (
  method: string,
  headers: Readonly<Record<string, string | undefined>>,
  allowed: ReadonlyArray<string>
): ProblemAnswer | undefined => {
  // A token in a header is put there on purpose: no browser adds it by itself.
  if (safe.has(method) || headers["cookie"] === undefined || headers["authorization"] !== undefined) return undefined
  const { host, origin, "sec-fetch-site": site } = headers
  // Everybody may read with `*`, but a cookie is no wish of everybody's.
  if (origin !== undefined && allowed.includes(origin)) return undefined
  const own = site === undefined ? origin === undefined || hostOf(origin) === host : /^(same-origin|none)$/.test(site)
  return own
    ? undefined
    : problem(
        403,
        "cross-site",
        "This request came from another site. Name its origin in the tenant's corsOrigins, or send an access token instead of a cookie."
      )
}
