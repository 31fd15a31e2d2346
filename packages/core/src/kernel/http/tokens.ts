/**
 * First-party access tokens: a short JWT that names tenant, principal and session and nothing else; rights are read anew for every
 * request. Issuer, audience and `typ` are its own, so that it passes for no token of a third-party app, and none of those for it.
 */
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isId } from "../ids.ts"
import { Keys } from "../keys/Keys.ts"
import { Unauthorized } from "./Authentication.ts"

export interface AccessClaims {
  readonly tenantId: string
  readonly principalId: string
  /** Absent in what the platform issues for an access that is open for a while: closing that ends it. */
  readonly sessionId?: string
  /** Epoch milliseconds. */
  readonly expiresAt: number
}

/** Never `at+jwt`, which is what OAuth's access tokens are called (RFC 9068). */
const typ = "session+jwt"

/** Seconds an access token lives. */
export const accessTokenLife = 15 * 60

export class AccessTokens extends Context.Service<
  AccessTokens,
  {
    readonly issue: (
      claims: Omit<AccessClaims, "expiresAt">
    ) => Effect.Effect<{ readonly token: string; readonly expiresIn: number }>
    readonly verify: (token: string) => Effect.Effect<AccessClaims, Unauthorized>
  }
>()("@mahalla/kernel/AccessTokens") {
  static readonly layer = (issuer: string) =>
    Layer.effect(
      AccessTokens,
      Effect.gen(function* () {
        const keys = yield* Keys
        const audience = `${issuer}/v1`
        const refused = new Unauthorized({ message: "The access token is not valid any more. Sign in again." })
        // A signature is checked once in a while, not on every request; expiry is checked on every one.
        const verified = yield* Cache.make({
          capacity: 4096,
          timeToLive: "60 seconds",
          lookup: (token: string) =>
            keys.verify("access-token", token, { typ, issuer, audience }).pipe(
              Effect.mapError(() => refused),
              Effect.flatMap((claims) =>
                isId(claims.sub) && isId(claims["tenant"]) && (claims["platform"] === true || isId(claims["sid"]))
                  ? Effect.succeed({
                      tenantId: claims["tenant"],
                      principalId: claims.sub,
                      ...(isId(claims["sid"]) ? { sessionId: claims["sid"] } : {}),
                      expiresAt: (claims.exp ?? 0) * 1000
                    })
                  : Effect.fail(refused)
              )
            )
        })
        return AccessTokens.of({
          issue: ({ principalId, sessionId, tenantId }) =>
            keys
              .sign(
                "access-token",
                {
                  iss: issuer,
                  aud: audience,
                  sub: principalId,
                  tenant: tenantId,
                  ...(sessionId === undefined ? { platform: true } : { sid: sessionId })
                },
                { typ, expiresIn: `${accessTokenLife} seconds` }
              )
              .pipe(Effect.map((token) => ({ token, expiresIn: accessTokenLife }))),
          verify: (token) =>
            Effect.gen(function* () {
              const claims = yield* Cache.get(verified, token)
              return claims.expiresAt > (yield* Clock.currentTimeMillis) ? claims : yield* refused
            })
        })
      })
    )
}
