/** What to close for an asset: the plan that doors and the control room show. */
import * as Effect from "effect/Effect"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { loadAssets } from "./assets.ts"
import { inGraph } from "./graphs.ts"
import { isolate } from "./isolate.ts"
import { isolationView } from "./views.ts"

/** `stuck`: ids of valves that are found unmovable besides those that are marked. Asks for no permission. */
export const isolationOf = Effect.fn("network.isolationOf")(function* (
  assetId: string,
  stuck: ReadonlyArray<string> = []
) {
  const { element, graph } = yield* inGraph(assetId)
  const unmovable = new Set<number>()
  for (const id of stuck) {
    const valve = graph.elementOf(id)
    if (valve === undefined || graph.kinds[valve] !== "valve")
      return yield* new InvalidInput({
        issues: [{ pointer: "#query/stuck", detail: `${id} is no valve of this network.` }]
      })
    unmovable.add(valve)
  }
  const found = isolate(graph, element, unmovable)
  const named = [...found.close, ...found.keepClosed, ...found.stuck, ...found.sources]
  const rows = yield* loadAssets(named.map((one) => graph.ids[one]!))
  return isolationView(graph, found, new Map(rows.map((row) => [row.id, row])))
})
