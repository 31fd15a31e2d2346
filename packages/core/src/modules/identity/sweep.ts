/** Takes away what has had its time: challenges, sign-ins under way, invitations, and sessions a month after they ended. Codes and links have their days in `retention.ts`. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"

/** Seconds for which a session that has run out is still known, so that a late reuse of its tokens is still seen for what it is. */
const kept = 30 * 86_400

export const sweepIdentity = withPlatform(
  Effect.gen(function* () {
    const { sql } = yield* PlatformTx
    const now = yield* Clock.currentTimeMillis
    yield* sql`delete from mahalla.passkey_challenge where expires_at < ${new Date(now)}`
    yield* sql`delete from mahalla.openid_attempt where expires_at < ${new Date(now)}`
    yield* sql`delete from mahalla.openid_invitation where expires_at < ${new Date(now)}`
    yield* sql`delete from mahalla.session where expires_at < ${new Date(now - kept * 1000)}`
  })
)
