/**
 * Reading what the outbox keeps, for the command line and the console, without the plugin being open.
 */
import { MessengerError, type KeptMessage, type OutboxQuery } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { listFiles, readMessages } from "./files.ts"

/** With `after`, forwards from it (or from the oldest kept message, when it is no longer there); without, the newest ones. */
const select = async (home: string, { tenantId, to, after, limit = 50 }: OutboxQuery, now: number, classes: string) => {
  const fits = (message: KeptMessage) =>
    (classes === "all" || message.class !== "code") &&
    (tenantId === undefined || message.tenantId === tenantId) &&
    (to === undefined || message.to === to) &&
    (message.expiresAt === undefined || message.expiresAt > now)
  const numbers = await listFiles(home)
  if (after !== undefined) {
    const all = (await Promise.all(numbers.map((number) => readMessages(home, number)))).flat()
    return all
      .slice(all.findIndex((message) => message.id === after) + 1)
      .filter(fits)
      .slice(0, limit)
  }
  let found: ReadonlyArray<KeptMessage> = []
  for (const number of numbers.toReversed()) {
    if (found.length >= limit) break
    found = [...(await readMessages(home, number)).filter(fits), ...found]
  }
  return found.slice(-limit)
}

/**
 * Messages kept in a plugin's folder (`MAHALLA_HOME/plugins/<instance>`), in order of acceptance, without expired ones. A folder that
 * is not there has none. Fails with `InvalidRequest` for a limit outside 1–500 and `Unavailable` when the files cannot be read.
 */
export const readOutbox = Effect.fn("readOutbox")(function* (
  home: string,
  query: OutboxQuery = {},
  classes: "all" | "withoutCodes" = "all"
): Effect.fn.Return<ReadonlyArray<KeptMessage>, MessengerError> {
  const { limit = 50 } = query
  if (!Number.isInteger(limit) || limit < 1 || limit > 500)
    return yield* new MessengerError({
      reason: "InvalidRequest",
      operation: "outbox",
      subject: "limit",
      message: "Ask for 1 to 500 messages at a time.",
      retryable: false
    })
  const now = yield* Clock.currentTimeMillis
  return yield* Effect.tryPromise({
    try: () => select(home, query, now, classes),
    catch: (cause) =>
      new MessengerError({
        reason: "Unavailable",
        operation: "outbox",
        subject: home,
        message: "The outbox cannot be read; check the owner and the rights of its folder.",
        retryable: true,
        cause
      })
  })
})
