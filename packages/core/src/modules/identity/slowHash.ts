/**
 * Short secrets (one-time codes, recovery codes) as slow hashes: scrypt (RFC 7914) in Node's thread pool, behind a keyed hash, so that
 * a copy of the database is worth nothing without the deployment's secret.
 */
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { Keys } from "../../kernel/keys/Keys.ts"

/** 16 MiB and about 40 ms of one core for each; docs/decisions/identity.md has the measurement. */
const cost = { N: 2 ** 14, r: 8, p: 1 } as const

/** Half of the thread pool's four: files and names must not wait for people who sign in. */
const places = Semaphore.makeUnsafe(2)

export const newSalt = (): string => randomBytes(16).toString("base64url")

/** base64url of 32 bytes. `text` names what the secret is for and whose it is, too. */
export const slowHash = Effect.fnUntraced(function* (purpose: string, text: string, salt: string) {
  const password = (yield* Keys).mac(purpose, text)
  const derive = Effect.callback<Buffer>((resume) => {
    scrypt(password, Buffer.from(salt, "base64url"), 32, cost, (error, key) =>
      resume(error === null ? Effect.succeed(key) : Effect.die(error))
    )
  })
  return (yield* places.withPermit(derive)).toString("base64url")
})

/** In constant time. */
export const sameHash = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
