/**
 * First-party access tokens: a short JWT (RFC 9068 form) that names tenant and principal and nothing else; rights are read anew for
 * every request.
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
  /** Epoch milliseconds. */
  readonly expiresAt: number
}

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
            keys.verify("access-token", token, { typ: "at+jwt", issuer, audience }).pipe(
              Effect.mapError(() => refused),
              Effect.flatMap((claims) =>
                isId(claims.sub) && isId(claims["tenant"])
                  ? Effect.succeed({
                      tenantId: claims["tenant"],
                      principalId: claims.sub,
                      expiresAt: (claims.exp ?? 0) * 1000
                    })
                  : Effect.fail(refused)
              )
            )
        })
        return AccessTokens.of({
          issue: ({ principalId, tenantId }) =>
            keys
              .sign(
                "access-token",
                { iss: issuer, aud: audience, sub: principalId, tenant: tenantId },
                { typ: "at+jwt", expiresIn: `${accessTokenLife} seconds` }
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
