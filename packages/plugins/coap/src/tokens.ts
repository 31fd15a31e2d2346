/**
 * Sessions of devices that have no connections: each request shows its token, and the session behind it is kept for the next one, until
 * the device has been silent for ten minutes or its credential is revoked.
 */
import { DeviceIngestError, type DeviceSession, type IngestSessions } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const silence = 600_000
/** Sessions that are kept; the one that was silent longest goes first. */
const most = 20_000
/** Look-ups of tokens at once: anybody can send a datagram with any token, and each waits for the database. */
const mostOpening = 1_000

const busy = new DeviceIngestError({
  reason: "Unavailable",
  operation: "authenticate",
  subject: "device",
  message: "Too many devices come at once. Send again in a little while.",
  retryable: true
})

interface Kept {
  readonly session: DeviceSession
  seen: number
}

export const makeTokens = (
  sessions: IngestSessions
): Effect.Effect<(token: string) => Effect.Effect<DeviceSession, DeviceIngestError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    /** The one that was seen longest ago first. */
    const kept = new Map<string, Kept>()
    let opening = 0

    const forget = (token: string, { session }: Kept) => {
      kept.delete(token)
      return sessions.close(session)
    }

    const open = (token: string, now: number) =>
      Effect.gen(function* () {
        let revoked = false
        const session = yield* sessions.open({ kind: "token", token }, () => {
          revoked = true
          if (kept.get(token)?.session === session) kept.delete(token)
        })
        const other = kept.get(token)
        if (other !== undefined || revoked) {
          yield* sessions.close(session)
          return other?.session ?? session
        }
        kept.set(token, { session, seen: now })
        const [oldest] = kept
        if (kept.size > most && oldest !== undefined) yield* forget(...oldest)
        return session
      })

    const sweep = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (const entry of kept) {
        if (now - entry[1].seen < silence) break
        yield* forget(...entry)
      }
    })
    yield* sweep.pipe(Effect.delay("30 seconds"), Effect.forever, Effect.forkScoped)

    return (token) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const known = kept.get(token)
        if (known === undefined) {
          if (opening >= mostOpening) return Effect.fail(busy)
          opening++
          return Effect.ensuring(
            open(token, now),
            Effect.sync(() => opening--)
          )
        }
        kept.delete(token)
        kept.set(token, { session: known.session, seen: now })
        return Effect.succeed(known.session)
      })
  })
