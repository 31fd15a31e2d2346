/** What the platform's own endpoints stand behind: a token of the platform, outside every city. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { type Database, type PlatformTx, withPlatform } from "../db/Database.ts"
import type { Keys } from "../keys/Keys.ts"
import { PlatformActor } from "../platform/operations.ts"
import { platformPersonOf, platformSessionOf, type SignedIn } from "../platform/sessions.ts"
import { Unauthorized } from "./Authentication.ts"
import { answerProblems, RequestFacts } from "./Door.ts"

const bearer = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(request.headers["authorization"] ?? "")?.[1]
  return token ?? (yield* new Unauthorized({ message: "This address takes a token of the platform: Bearer <token>." }))
})

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
          const { id } = yield* RequestFacts
          return yield* Effect.gen(function* () {
            const person = yield* Effect.provideContext(Effect.flatMap(bearer, platformPersonOf), services)
            return yield* Effect.provideService(handle, PlatformActor, person)
          }).pipe(answerProblems(id))
        })
      )
    })
  )
}

/** Whoever has signed in and perhaps not shown their second factor yet. */
export class PlatformSession extends Context.Service<PlatformSession, SignedIn>()("@mahalla/kernel/PlatformSession") {}

/** The doors at which a second factor is shown or set up. */
export class PlatformFactorDoor extends HttpApiMiddleware.Service<
  PlatformFactorDoor,
  { provides: PlatformSession; requires: never }
>()("@mahalla/kernel/PlatformFactorDoor") {
  static readonly layer = Layer.effect(
    PlatformFactorDoor,
    Effect.gen(function* () {
      const services = yield* Effect.context<Database | Keys>()
      return PlatformFactorDoor.of((handle) =>
        Effect.gen(function* () {
          const { id } = yield* RequestFacts
          return yield* Effect.gen(function* () {
            const session = yield* Effect.provideContext(Effect.flatMap(bearer, platformSessionOf), services)
            return yield* Effect.provideService(handle, PlatformSession, session)
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
