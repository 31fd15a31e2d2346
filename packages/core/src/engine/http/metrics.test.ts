import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { RequestFacts } from "../../kernel/http/Door.ts"
import { metricsRoute } from "./metrics.ts"

/** What somebody at an address is answered. */
const asked = (
  config: Parameters<typeof metricsRoute>[0],
  ip: string,
  headers: Readonly<Record<string, string>> = {}
) =>
  Effect.gen(function* () {
    const built = yield* Layer.build(Layer.provideMerge(metricsRoute(config), HttpRouter.layer))
    const request = HttpServerRequest.fromWeb(new Request("http://city.example/metrics", { headers }))
    const answer = yield* Context.get(built, HttpRouter.HttpRouter)
      .asHttpEffect()
      .pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, request),
        Effect.provideService(RequestFacts, { id: "request-1", ip, host: "city.example", slug: null })
      )
    return [answer.status, answer.headers["content-type"]]
  }).pipe(Effect.scoped)

const open = [200, "text/plain; version=0.0.4; charset=utf-8"]
const refused = (status: number) => [status, "application/problem+json"]
const token = "a token of the operator's own, not for use"

it.effect("metrics_are_nobodys_until_the_operator_gives_a_token", () =>
  Effect.gen(function* () {
    for (const ip of ["127.0.0.1", "192.0.2.7", ""])
      assert.deepEqual(yield* asked({ mode: "production" }, ip), refused(403))
    assert.deepEqual(yield* asked({}, "127.0.0.1"), refused(403))
  })
)

it.effect("metrics_are_for_the_operators_token_from_everywhere", () =>
  Effect.gen(function* () {
    const config = { metricsToken: token }
    const bearing = (given: string) => asked(config, "192.0.2.7", { authorization: given })
    assert.deepEqual(yield* bearing(`Bearer ${token}`), open)
    for (const given of ["Bearer x", `Bearer ${token}x`, `Basic ${token}`, token, ""])
      assert.deepEqual(yield* bearing(given), refused(401))
    for (const mode of ["dev", "production"] as const)
      assert.deepEqual(yield* asked({ ...config, mode }, "127.0.0.1"), refused(401))
  })
)

it.effect("metrics_are_open_on_the_machine_itself_in_dev", () =>
  Effect.gen(function* () {
    const dev = { mode: "dev" } as const
    for (const ip of ["127.0.0.1", "127.8.9.1", "::1"]) assert.deepEqual(yield* asked(dev, ip), open)
    for (const ip of ["", "192.0.2.7", "::2", "1270.0.0.1"]) assert.deepEqual(yield* asked(dev, ip), refused(403))
    // Whoever stands behind a proxy of this machine is not on it.
    for (const header of ["x-forwarded-for", "forwarded"])
      assert.deepEqual(yield* asked(dev, "127.0.0.1", { [header]: "for=127.0.0.1" }), refused(403))
  })
)
