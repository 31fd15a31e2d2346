/**
 * The EventBus on LISTEN and NOTIFY of the city's own database: nothing more to install, enough for replicas of one city. A
 * subscription needs a connection that no pooler stands before; publishing does not.
 */
import { checkBusMessage, EventBus, EventBusError, HostDatabase } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import { makeListener } from "./listener.ts"
import { channelName, decode, makeNotifier } from "./notifier.ts"

const unavailable = (operation: string, channel: string, cause?: SqlError) =>
  new EventBusError({
    reason: "Unavailable",
    operation,
    subject: channel,
    message: `The database did not answer${cause === undefined ? " in ten seconds" : `: ${cause.message}`}. Check that PostgreSQL runs and can be reached; hearers then read on from the event order.`,
    retryable: true,
    ...(cause === undefined ? {} : { cause })
  })

export const layerEventBus: Layer.Layer<EventBus, SqlError, HostDatabase> = Layer.effect(
  EventBus,
  Effect.gen(function* () {
    const database = yield* HostDatabase
    const notifier = yield* makeNotifier({ url: database.platform, pooled: database.pooled })
    const listener = yield* makeListener(database.listen, decode)
    return EventBus.of({
      publish: Effect.fn("EventBus.publish")(function* (channel, body) {
        const refusal = checkBusMessage("publish", channel, body)
        if (refusal !== undefined) return yield* refusal
        yield* Effect.mapError(notifier.notify(channel, body), (cause) => unavailable("publish", channel, cause))
      }),
      subscribe: Effect.fn("EventBus.subscribe")(function* (channel) {
        const refusal = checkBusMessage("subscribe", channel)
        if (refusal !== undefined) return yield* refusal
        return yield* listener.subscribe(channelName(channel)).pipe(
          Effect.timeoutOrElse({
            duration: "10 seconds",
            orElse: () => Effect.fail(unavailable("subscribe", channel))
          })
        )
      })
    })
  })
)
