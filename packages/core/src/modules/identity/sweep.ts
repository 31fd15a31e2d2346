/** Takes away what has had its time: codes, links, challenges, and sessions a month after they ended. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"

/** Seconds for which a session that has run out is still known, so that a late reuse of its tokens is still seen for what it is. */
const kept = 30 * 86_400

export const sweepIdentity = withPlatform(
  Effect.gen(function* () {
    const { sql } = yield* PlatformTx
    const now = yield* Clock.currentTimeMillis
    const at = new Date(now)
    // A code's row also remembers how often codes were sent; a day of silence forgives it.
    yield* sql`delete from mahalla.sign_in_code where sent_at < ${new Date(now - 2 * 86_400_000)}`
    yield* sql`delete from mahalla.sign_in_link where expires_at < ${at}`
    yield* sql`delete from mahalla.passkey_challenge where expires_at < ${at}`
    yield* sql`delete from mahalla.session where expires_at < ${new Date(now - kept * 1000)}`
  })
)
