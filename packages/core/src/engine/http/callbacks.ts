/** The address of plugins' partners. Whether a request is theirs is for the plugin to say: it knows their signatures. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { problemResponse, RequestFacts } from "../../kernel/http/Door.ts"
import { problem } from "../../kernel/http/problems.ts"
import { Callbacks } from "../callbacks.ts"
import { bodyBytes } from "./body.ts"

/** Bytes. */
const maxBody = 262_144
const patience = "15 seconds"

export const callbackMethods = ["GET", "POST"] as const

const answerOf = (method: (typeof callbackMethods)[number]) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { id, ip } = yield* RequestFacts
    const url = new URL(request.url, "http://city")
    const [, name = "", path] = /^\/v1\/callbacks\/([^/]+)(\/.*)?$/.exec(url.pathname) ?? []
    const handler = (yield* Callbacks).handlerOf(name)
    if (handler === undefined) return HttpServerResponse.empty({ status: 404 })
    const body = method === "GET" ? new Uint8Array() : yield* bodyBytes(request, maxBody)
    if ("status" in body) return problemResponse(body, id)
    const heard = handler({
      method,
      path: path ?? "",
      query: new Map(url.searchParams),
      headers: request.headers as Readonly<Record<string, string>>,
      body,
      ip
    }).pipe(
      Effect.timeoutOption(patience),
      Effect.catchCause((cause) =>
        Effect.as(Effect.logError(`What a partner sent to ${name} could not be heard`, cause), "died" as const)
      )
    )
    const answer = yield* heard
    if (answer === "died") return problemResponse(problem(500, "internal", "It was not heard. Send it again."), id)
    if (answer._tag === "None")
      return problemResponse(problem(503, "busy", "It was not heard in time. Send it again."), id)
    const { body: text, status, type = "application/json" } = answer.value
    return text === undefined
      ? HttpServerResponse.empty({ status })
      : HttpServerResponse.text(text, { status, contentType: type })
  })

export const callbackRoutes = Layer.mergeAll(
  HttpRouter.add("GET", "/v1/callbacks/*", answerOf("GET")),
  HttpRouter.add("POST", "/v1/callbacks/*", answerOf("POST"))
)
