/** Assets on which an alert shows too: what lies next downstream of the one at which it happened, where the city has a network. */
import * as Effect from "effect/Effect"
import type { AlertEffect } from "../../control-room/index.ts"
import { loadAssets, nearestDownstream, NetworkGraphs } from "../../network/index.ts"

/** As many as the control room takes of one alert. */
const most = 1000

const assetOf = (effect: AlertEffect) => (effect.kind === "raise" ? effect.assetId : undefined)

/**
 * What lies below each of some assets. Those of the host's own, and those that are retired, have nothing below: their alerts are told all the same.
 */
const belowAll = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
  const found = new Map<string, ReadonlyArray<string>>()
  const graphs = yield* Effect.serviceOption(NetworkGraphs)
  if (graphs._tag === "None" || ids.length === 0) return found
  const standing = (yield* loadAssets(ids)).filter(({ retiredAt }) => retiredAt === null)
  for (const [networkId, assets] of Map.groupBy(standing, (asset) => asset.networkId)) {
    const graph = yield* graphs.value.of(networkId)
    for (const { id } of assets) {
      const element = graph.elementOf(id)
      // It has become an asset since the graph was read.
      if (element === undefined) continue
      found.set(
        id,
        nearestDownstream(graph, element, most).map((one) => graph.ids[one]!)
      )
      yield* Effect.yieldNow
    }
  }
  return found
})

/** The same effects, each new alert with the assets that it touches. Inside the tenant's transaction. */
export const propagated = Effect.fnUntraced(function* (effects: ReadonlyArray<AlertEffect>) {
  const below = yield* belowAll([...new Set(effects.flatMap((effect) => assetOf(effect) ?? []))])
  return effects.map((effect): AlertEffect => {
    const propagate = below.get(assetOf(effect) ?? "")
    return effect.kind !== "raise" || propagate === undefined ? effect : { ...effect, propagate }
  })
})
