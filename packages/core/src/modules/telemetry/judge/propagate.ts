/** Assets on which an alert shows too: what lies next downstream of the one at which it happened, where the city has a network. */
import * as Effect from "effect/Effect"
import { inGraph, nearestDownstream, NetworkGraphs } from "../../network/index.ts"
import type { AlertEffect } from "../../control-room/index.ts"

/** As many as the control room takes of one alert. */
const most = 1000

const below = Effect.fnUntraced(function* (assetId: string) {
  const graphs = yield* Effect.serviceOption(NetworkGraphs)
  if (graphs._tag === "None") return []
  return yield* inGraph(assetId).pipe(
    Effect.map(({ element, graph }) => nearestDownstream(graph, element, most).map((one) => graph.ids[one]!)),
    // An asset of the host's own, or one that is retired: the alert is told all the same.
    Effect.catchTag(["NotFound", "Refused"], () => Effect.succeed([])),
    Effect.provideService(NetworkGraphs, graphs.value)
  )
})

/** The same effects, each new alert with the assets that it touches. Inside the tenant's transaction. */
export const propagated = (effects: ReadonlyArray<AlertEffect>) =>
  Effect.forEach(effects, (effect) =>
    effect.kind !== "raise" || effect.assetId === undefined
      ? Effect.succeed(effect)
      : Effect.map(below(effect.assetId), (propagate): AlertEffect => ({ ...effect, propagate }))
  )
