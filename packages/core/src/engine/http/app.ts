/** The city's HTTP side as one effect from request to answer: modules' APIs, ours, uploads, live events, health, metrics, documents. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Database } from "../../kernel/db/Database.ts"
import { CaseTypes } from "../../kernel/cases/registry.ts"
import { Authentication } from "../../kernel/http/Authentication.ts"
import { answerProblems, Door, RequestFacts } from "../../kernel/http/Door.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { CityConfig } from "../config.ts"
import { version } from "../version.ts"
import { makeProxyTrust, makeTrusted } from "../ip.ts"
import type { CityRuntime } from "../runtime.ts"
import { attachmentsHandlers } from "./attachmentsHandlers.ts"
import { AttachmentsApi } from "./attachmentsApi.ts"
import { AuditApi } from "./auditApi.ts"
import { auditHandlers } from "./auditHandlers.ts"
import { CaseSidesApi } from "./caseSidesApi.ts"
import { caseSidesHandlers } from "./caseSidesHandlers.ts"
import { CasesApi } from "./casesApi.ts"
import { casesHandlers, caseTypesHandlers } from "./casesHandlers.ts"
import { callbackMethods, callbackRoutes } from "./callbacks.ts"
import { docsPage } from "./docsPage.ts"
import { healthRoutes } from "./health.ts"
import { KeysApi } from "./keysApi.ts"
import { keysHandlers } from "./keysHandlers.ts"
import { metricsRoute } from "./metrics.ts"
import { makeDocument } from "./openapi.ts"
import { OpsApi } from "./opsApi.ts"
import { cityHandlers, operationsHandlers, peopleHandlers } from "./opsHandlers.ts"
import { outer, type RouteEntry } from "./outer.ts"
import { RetentionApi, retentionHandlers } from "./retentionApi.ts"
import { page } from "./securityHeaders.ts"
import { signInPage } from "./signInPage.ts"
import { PlatformApi } from "./platformApi.ts"
import { platformFactorsHandlers, platformHandlers, platformSessionHandlers } from "./platformHandlers.ts"
import { PlatformDoor, PlatformFactorDoor, PlatformThreshold } from "../../kernel/http/PlatformDoor.ts"
import { RolesApi } from "./rolesApi.ts"
import { delegationsHandlers, rolesHandlers } from "./rolesHandlers.ts"
import { eventFeed } from "./sse.ts"
import type { Erased } from "../../kernel/Erased.ts"

// The router answers HEAD with the GET route.
const tusMethods = ["POST", "GET", "PATCH", "DELETE", "OPTIONS"] as const

/** tus speaks web-standard requests; the actor is resolved first, as everywhere. */
const uploads = Effect.gen(function* () {
  const facts = yield* RequestFacts
  return yield* Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { actor } = yield* (yield* Authentication).actorOf(request, facts)
    const web = yield* HttpServerRequest.toWeb(request)
    // Loaded with the first upload, so that the start does not wait for it.
    const { handleTus } = yield* Effect.promise(() => import("../../kernel/attachments/tus.ts"))
    const response = yield* handleTus(web).pipe(Effect.provideService(Actor, actor))
    return HttpServerResponse.fromWeb(response)
  }).pipe(answerProblems(facts.id))
})

const pathsOf = (document: Record<string, Erased>): ReadonlyArray<RouteEntry> =>
  Object.entries(document["paths"] as Record<string, object>).flatMap(([path, item]) =>
    Object.keys(item).map((method) => ({ method: method.toUpperCase(), path: path.replaceAll(/\{([^}]+)\}/g, ":$1") }))
  )

/** Builds the router once; `app`, run with `services`, answers requests until the scope closes. */
export const makeHttpApp = Effect.fnUntraced(function* (config: CityConfig, runtime: CityRuntime) {
  const types = Context.getUnsafe(runtime.context as Context.Context<CaseTypes>, CaseTypes)
  const keys = Context.getUnsafe(runtime.context as Context.Context<Keys>, Keys)
  const modules = runtime.modules.flatMap((module) => (module.api === undefined ? [] : [module.api]))
  const document = makeDocument(
    [
      CasesApi,
      CaseSidesApi,
      AttachmentsApi,
      OpsApi,
      RolesApi,
      AuditApi,
      PlatformApi,
      KeysApi,
      RetentionApi,
      ...modules.map((api) => api.definition)
    ],
    types,
    version
  )
  const text = JSON.stringify(document)

  const door = Door.layer
  const routes = Layer.mergeAll(
    HttpApiBuilder.layer(CasesApi).pipe(Layer.provide([casesHandlers, caseTypesHandlers]), Layer.provide(door)),
    HttpApiBuilder.layer(CaseSidesApi).pipe(Layer.provide(caseSidesHandlers), Layer.provide(door)),
    HttpApiBuilder.layer(AttachmentsApi).pipe(Layer.provide(attachmentsHandlers), Layer.provide(door)),
    HttpApiBuilder.layer(OpsApi).pipe(
      Layer.provide([cityHandlers, peopleHandlers, operationsHandlers(runtime)]),
      Layer.provide(door)
    ),
    HttpApiBuilder.layer(RolesApi).pipe(Layer.provide([rolesHandlers, delegationsHandlers]), Layer.provide(door)),
    HttpApiBuilder.layer(PlatformApi).pipe(
      Layer.provide([platformSessionHandlers, platformFactorsHandlers, platformHandlers]),
      Layer.provide([PlatformDoor.layer, PlatformFactorDoor.layer, PlatformThreshold.layer])
    ),
    HttpApiBuilder.layer(AuditApi).pipe(Layer.provide(auditHandlers), Layer.provide(door)),
    HttpApiBuilder.layer(KeysApi).pipe(Layer.provide(keysHandlers), Layer.provide(door)),
    HttpApiBuilder.layer(RetentionApi).pipe(Layer.provide(retentionHandlers), Layer.provide(door)),
    ...modules.map((api) => Layer.provide(api.layer, door)),
    eventFeed,
    // The wildcard takes the bare address too.
    ...tusMethods.map((method) => HttpRouter.add(method, "/v1/uploads/*", uploads)),
    callbackRoutes,
    healthRoutes(runtime),
    metricsRoute(config),
    HttpRouter.add("GET", "/openapi.json", HttpServerResponse.text(text, { contentType: "application/json" })),
    HttpRouter.add("GET", "/docs", page(docsPage(document))),
    HttpRouter.add("GET", "/sign-in", page(signInPage)),
    HttpRouter.add(
      "GET",
      "/.well-known/jwks.json",
      Effect.map(keys.jwks, (jwks) =>
        HttpServerResponse.jsonUnsafe(jwks, { headers: { "cache-control": "public, max-age=3600" } })
      )
    )
  ) as Layer.Layer<never, never, Erased>

  const services = yield* Layer.build(HttpServer.layerServices)
  const context = Context.merge(runtime.context, services)
  const built = yield* Effect.provideContext(
    Layer.build(Layer.provideMerge(routes, HttpRouter.layer)),
    context as Context.Context<Erased>
  )
  const router = Context.getUnsafe(built as Context.Context<HttpRouter.HttpRouter>, HttpRouter.HttpRouter)
  const besideTheApis: ReadonlyArray<RouteEntry> = [
    ...tusMethods.flatMap((method) => [
      { method, path: "/v1/uploads" },
      { method, path: "/v1/uploads/*" }
    ]),
    ...callbackMethods.map((method) => ({ method, path: "/v1/callbacks/*" })),
    ...[
      "/health/live",
      "/health/ready",
      "/metrics",
      "/openapi.json",
      "/docs",
      "/sign-in",
      "/.well-known/jwks.json"
    ].map((path) => ({ method: "GET", path }))
  ]
  // In the document there is one for each type.
  const ofCases: ReadonlyArray<RouteEntry> = [
    { method: "POST", path: "/v1/cases/:type" },
    { method: "POST", path: "/v1/cases/:type/:id/transitions/:transition" }
  ]
  const wrap = outer({
    routes: [...pathsOf(document), ...besideTheApis, ...ofCases],
    clientAddress: makeProxyTrust(config.trustedProxies ?? []),
    isTrusted: makeTrusted(config.trustedProxies ?? []),
    https: config.publicUrl?.startsWith("https:") === true,
    maxBodySize: config.maxBodySize ?? 1_048_576,
    maxInFlight: config.maxInFlight ?? 512,
    basePath: (config.basePath ?? "").replace(/\/$/, "")
  })
  const handle = router.asHttpEffect()
  const withServices = Effect.provideContext(handle, context as Context.Context<Erased>)
  const beside = new Set([...besideTheApis.map(({ path }) => path), "/v1/events"])
  // The APIs' handlers bring the services that they were built with.
  const routed = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
    const path = url.split("?", 1)[0]!
    return beside.has(path) || /^\/v1\/(?:uploads|callbacks)\//.test(path) ? withServices : handle
  })
  return {
    app: wrap(routed) as Effect.Effect<
      HttpServerResponse.HttpServerResponse,
      never,
      HttpServerRequest.HttpServerRequest
    >,
    // What is needed before a route is found (loggers, levels, the tenants): every request copies it. A request adds a dozen services of its
    // own, kept as a chain before these.
    services: Context.makeUnsafe<never>(
      new Map([...context.mapUnsafe].filter(([key]) => key.startsWith("effect/") || key === Database.key)),
      { maxDepth: 24 }
    )
  }
})
