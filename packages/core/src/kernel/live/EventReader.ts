/** One reader of live events: those they want and may hear of, from a place in the tenant's order on. Nothing is skipped: who is slow reads later. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import { withTenant } from "../db/Database.ts"
import { headPosition } from "../events/read.ts"
import { Signals } from "../Signals.ts"
import { EventFeed, type FeedRow, lookAgain } from "./EventFeed.ts"
import type { EventFilter } from "./EventFilter.ts"
import type { LiveReader } from "./LiveRights.ts"

/** What there is for them up to a place; nothing, where nothing came for a while. */
export interface EventStep {
  readonly position: bigint
  readonly events: ReadonlyArray<FeedRow>
}

/** How long nothing may come before the reader hears where the order is. */
const quietAfter = "15 seconds"

/** Begins to read after a place; now, where there is none, or one that no event has yet: the order of another time, as after a restore. */
export const eventReader = Effect.fnUntraced(function* (
  tenantId: string,
  filter: EventFilter,
  after: bigint | undefined,
  reader: LiveReader
) {
  const feed = yield* EventFeed
  const { order } = yield* Signals
  const grown = yield* PubSub.subscribe(order)
  const head = yield* withTenant(tenantId)(headPosition)
  let position = after === undefined || after > head ? head : after
  /** Of what it was woken for and has not looked for twice. */
  let told = position

  const next: Effect.Effect<EventStep, unknown> = Effect.gen(function* () {
    while (true) {
      const who = yield* reader.current
      const now = yield* Clock.currentTimeMillis
      const rows = yield* feed.after(tenantId, position)
      if (rows.length === 0 && told > position) {
        told = position
        yield* Effect.sleep(lookAgain)
        continue
      }
      if (rows.length === 0) {
        const woken = yield* Effect.timeoutOption(
          Effect.repeat(PubSub.take(grown), { until: (signal) => signal.tenantId === tenantId }),
          quietAfter
        )
        if (woken._tag === "None") return { position, events: [] }
        told = woken.value.position
        continue
      }
      position = rows.at(-1)!.position
      const events = rows.filter((row) => feed.reaches(who, row, filter, now))
      if (events.length > 0) return { position, events }
      // Who may see nothing of a long past goes through it at a walk.
      yield* Effect.sleep("20 millis")
    }
  })
  return { next, place: () => position }
})
