/** Figures for Prometheus. How busy a city is, and what it refuses, is its operator's business alone. */
import { createHash, timingSafeEqual } from "node:crypto"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { answerProblems, problemResponse, RequestFacts } from "../../kernel/http/Door.ts"
import { problem } from "../../kernel/http/problems.ts"
import type { CityConfig } from "../config.ts"

const hashOf = (text: string) => createHash("sha256").update(text).digest()

/** From this machine, and by no proxy that says so: those of whom it does not say so are why this is for `dev` only. */
const isLocal = (ip: string, headers: Readonly<Record<string, string | undefined>>) =>
  (ip === "::1" || ip.startsWith("127.")) &&
  headers["x-forwarded-for"] === undefined &&
  headers["forwarded"] === undefined

const closed = problem(
  403,
  "forbidden",
  "Nobody reads the metrics of this city. Its operator opens them with metricsToken, or MAHALLA_METRICS_TOKEN."
)

export const metricsRoute = ({ metricsToken, mode }: Pick<CityConfig, "metricsToken" | "mode">) => {
  const expected = metricsToken === undefined ? undefined : hashOf(metricsToken)
  return HttpRouter.add(
    "GET",
    "/metrics",
    Effect.gen(function* () {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const { id, ip } = yield* RequestFacts
      return yield* Effect.gen(function* () {
        if (expected === undefined) {
          if (mode !== "dev" || !isLocal(ip, headers)) return problemResponse(closed, id)
        } else {
          const given = /^Bearer (.+)$/i.exec(headers["authorization"] ?? "")?.[1]
          if (given === undefined || !timingSafeEqual(hashOf(given), expected))
            return yield* new Unauthorized({ message: "The metrics take the operator's own token: Bearer <token>." })
        }
        const text = yield* PrometheusMetrics.format()
        return HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
      }).pipe(answerProblems(id))
    })
  )
}
