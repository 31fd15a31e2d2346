/** Who hears of a new alert: the first step of its ladder; where the city has no ladder for it, everybody who may acknowledge it there. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { CaseRecord } from "../../kernel/cases/model.ts"
import { holdersOf } from "../../kernel/policy/holders.ts"
import { climbOn, ladderFor } from "./climb.ts"
import { subscribeAll } from "./sql.ts"

/** Alerts of one severity and territory are the same people's, and those are asked for once. */
export const tell = Effect.fn("control-room.tell")(function* (alerts: ReadonlyArray<CaseRecord>) {
  const at = new Date(yield* Clock.currentTimeMillis)
  const alike = Map.groupBy(alerts, ({ data, territoryId }) => `${String(data["severity"])} ${territoryId}`)
  for (const group of alike.values()) {
    const ladder = yield* ladderFor(group[0]!)
    if (ladder !== undefined) {
      yield* climbOn(ladder, group, true)
      continue
    }
    const hearers = yield* holdersOf("alert.acknowledge", group[0]!.territoryPath)
    yield* subscribeAll(
      group.map(({ id }) => id),
      hearers,
      at
    )
  }
})
