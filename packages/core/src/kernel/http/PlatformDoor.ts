/** What the platform's own endpoints stand behind: a token of the platform, outside every city. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { type Database, type PlatformTx, withPlatform } from "../db/Database.ts"
import type { Keys } from "../keys/Keys.ts"
import { platformPersonOf } from "../platform/admins.ts"
import { PlatformActor } from "../platform/operations.ts"
import { Unauthorized } from "./Authentication.ts"
import { answerProblems, RequestFacts } from "./Door.ts"

export class PlatformDoor extends HttpApiMiddleware.Service<
  PlatformDoor,
  { provides: PlatformActor; requires: never }
>()("@mahalla/kernel/PlatformDoor") {
  static readonly layer = Layer.effect(
    PlatformDoor,
    Effect.gen(function* () {
      const services = yield* Effect.context<Database | Keys>()
      return PlatformDoor.of((handle) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const { id } = yield* RequestFacts
          return yield* Effect.gen(function* () {
            const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(request.headers["authorization"] ?? "")?.[1]
            if (token === undefined)
              return yield* new Unauthorized({ message: "This address takes a token of the platform: Bearer <token>." })
            const person = yield* Effect.provideContext(platformPersonOf(token), services)
            return yield* Effect.provideService(handle, PlatformActor, person)
          }).pipe(answerProblems(id))
        })
      )
    })
  )
}

/** Where nobody is known yet: problems instead of failures, and nothing else. */
export class PlatformThreshold extends HttpApiMiddleware.Service<PlatformThreshold>()(
  "@mahalla/kernel/PlatformThreshold"
) {
  static readonly layer = Layer.succeed(
    PlatformThreshold,
    PlatformThreshold.of((handle) => Effect.flatMap(RequestFacts, ({ id }) => answerProblems(id)(handle)))
  )
}

/** Runs a handler in one transaction of the platform. Its failures become problems in the door. */
export const inPlatform = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  withPlatform(self) as Effect.Effect<A, never, Exclude<R, PlatformTx> | Database>
