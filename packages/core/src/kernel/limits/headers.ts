/** `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11, May 2026) for the budgets that a request has taken from. */
import * as Context from "effect/Context"

export interface SeenLimit {
  readonly policy: string
  readonly amount: number
  /** Seconds. */
  readonly window: number
  readonly remaining: number
  /** Milliseconds until there is one more. */
  readonly next: number
}

/** Hears what the running request takes from. The outermost handler brings a hearer for each request. */
export class SeenLimits extends Context.Reference<(seen: SeenLimit) => void>("@mahalla/kernel/SeenLimits", {
  defaultValue: () => () => {}
}) {}

/** None where nothing was limited. Partition keys (`pk`) are left out: they would tell one caller from another to whoever reads along. */
export const rateLimitHeaders = (seen: ReadonlyArray<SeenLimit>): Readonly<Record<string, string>> =>
  seen.length === 0
    ? {}
    : {
        "ratelimit-policy": seen.map(({ amount, policy, window }) => `"${policy}";q=${amount};w=${window}`).join(", "),
        ratelimit: seen
          .map(({ next, policy, remaining }) => `"${policy}";r=${remaining};t=${Math.ceil(next / 1000)}`)
          .join(", ")
      }

const header = (description: string) => ({ description, schema: { type: "string" } })
const told = {
  RateLimit: header('What is left: `"code-ip";r=19;t=30` is 19 now, and more in 30 seconds'),
  "RateLimit-Policy": header('What is allowed: `"code-ip";q=20;w=600` is 20 in 600 seconds')
}

interface Operation {
  readonly responses?: Readonly<Record<string, object>>
}

/** What the API document says of a route that takes from budgets: `endpoint.annotate(OpenApi.Transform, limitedRoute)`. */
export const limitedRoute = <Entry extends Operation>(operation: Entry): Entry => {
  const responses = Object.entries(operation.responses ?? {}).map(([status, response]) => [
    status,
    /^2/.test(status) ? { ...response, headers: told } : response
  ])
  const tooMany = {
    description: "Too many requests: a problem that says when to come back",
    headers: { ...told, "Retry-After": header("Seconds") },
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } }
  }
  return { ...operation, responses: { ...Object.fromEntries(responses), "429": tooMany } }
}
