/** Access tokens for a service account (RFC 7523): one for an hour, renewed five minutes before its end, and at once where it is not taken. */
import { type HostOutward } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { importPKCS8, SignJWT } from "jose"
import type { FcmConfig } from "./config.ts"

const scope = "https://www.googleapis.com/auth/firebase.messaging"
const grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
const Answer = Schema.fromJsonString(
  Schema.Struct({ access_token: Schema.NonEmptyString, expires_in: Schema.optionalKey(Schema.Number) })
)

export class NoToken extends Data.TaggedError("NoToken")<{
  /** `Unauthorized`: the account is not taken. */
  readonly reason: "Unauthorized" | "Unavailable"
  readonly message: string
}> {}

export const accessTokens = Effect.fnUntraced(function* (config: FcmConfig, outward: HostOutward["Service"]) {
  const { clientEmail, privateKey, tokenUrl } = config
  const one = yield* Semaphore.make(1)
  let current: { readonly token: string; readonly until: number } | undefined

  const assertion = (now: number) =>
    Effect.tryPromise({
      try: async () =>
        new SignJWT({ scope })
          .setProtectedHeader({ alg: "RS256", typ: "JWT" })
          .setIssuer(clientEmail)
          .setAudience(tokenUrl)
          .setIssuedAt(now)
          .setExpirationTime(now + 3_600)
          .sign(await importPKCS8(Redacted.value(privateKey), "RS256")),
      catch: () =>
        new NoToken({ reason: "Unauthorized", message: "The private key is none. Take it from the account's file." })
    })

  /** `stale`: a token that was not taken. */
  return Effect.fnUntraced(function* (stale: string | undefined) {
    const now = Math.floor((yield* Clock.currentTimeMillis) / 1_000)
    if (current !== undefined && current.token !== stale && now < current.until) return current.token
    const body = new URLSearchParams({ grant_type: grant, assertion: yield* assertion(now) }).toString()
    const headers = { "content-type": "application/x-www-form-urlencoded" }
    const answer = yield* outward
      .post({ url: tokenUrl, body, headers })
      .pipe(
        Effect.mapError(
          () => new NoToken({ reason: "Unavailable", message: "The place of access tokens cannot be reached." })
        )
      )
    if (answer.status === 400 || answer.status === 401 || answer.status === 403)
      return yield* new NoToken({
        reason: "Unauthorized",
        message: `No access token: ${answer.status}. The account was removed, its key is another one, or this machine's clock is wrong.`
      })
    const given = answer.status === 200 ? Schema.decodeUnknownOption(Answer)(answer.body) : Option.none()
    if (Option.isNone(given))
      return yield* new NoToken({
        reason: "Unavailable",
        message: `No access token: ${answer.status}; try again later.`
      })
    const { access_token: token, expires_in = 3_600 } = given.value
    current = { token, until: now + expires_in - 300 }
    return token
  }, one.withPermits(1))
})
