/** Networks as graphs in memory, each until the network changes. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { loadAsset } from "./assets.ts"
import { buildGraph, type GraphAsset, type GraphLink, type NetworkGraph } from "./graph.ts"
import type { AssetKind } from "./model.ts"
import { loadNetwork } from "./networks.ts"

/** Networks in memory at most; the one that was not asked for the longest makes room. */
const capacity = 16

interface Row {
  readonly id: string
  readonly kind: AssetKind
  readonly fromId: string | null
  readonly toId: string | null
  readonly closed: boolean
  readonly operable: boolean
  readonly directed: boolean
  readonly length: number | null
  readonly customers: number
  readonly demand: number
}

/** In one statement, so that nodes and links are of one moment. */
const load = Effect.fnUntraced(function* (networkId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Row>`
    select id, kind, from_id as "fromId", to_id as "toId", operable, directed, length, customers, demand,
      -- A closed hydrant lets the main by.
      status = 'closed' and (shape = 'line' or kind in ('valve', 'pump')) as closed
    from mahalla.asset where tenant_id = ${tenantId} and network_id = ${networkId} and retired_at is null`
  const nodes: Array<GraphAsset> = []
  const links: Array<GraphLink> = []
  for (const row of rows)
    if (row.fromId === null || row.toId === null) nodes.push(row)
    else links.push({ ...row, from: row.fromId, to: row.toId, length: row.length ?? 0 })
  return buildGraph(nodes, links)
})

export class NetworkGraphs extends Context.Service<
  NetworkGraphs,
  {
    /** The network as this transaction sees it. */
    readonly of: (
      networkId: string
    ) => Effect.Effect<NetworkGraph, Effect.Error<ReturnType<typeof loadNetwork>>, TenantTx>
  }
>()("@mahalla/modules/network/NetworkGraphs") {
  static readonly layer = Layer.sync(NetworkGraphs, () => {
    // In the order in which they were last asked for.
    const known = new Map<string, { readonly revision: string; readonly graph: NetworkGraph }>()
    return NetworkGraphs.of({
      of: Effect.fn("network.graph")(function* (networkId: string) {
        const { tenantId } = yield* TenantTx
        const { revision } = yield* loadNetwork(networkId)
        const key = `${tenantId}/${networkId}`
        const there = known.get(key)
        const graph = there?.revision === revision ? there.graph : yield* load(networkId)
        known.delete(key)
        known.set(key, { revision, graph })
        for (const oldest of known.keys()) {
          if (known.size <= capacity) break
          known.delete(oldest)
        }
        return graph
      })
    })
  })
}

/** An asset in its network's graph. */
export const inGraph = Effect.fnUntraced(function* (assetId: string) {
  const asset = yield* loadAsset(assetId)
  if (asset.retiredAt !== null)
    return yield* new Refused({ code: "retired", message: "The asset is retired and hangs together with nothing." })
  const graph = yield* (yield* NetworkGraphs).of(asset.networkId)
  const element = graph.elementOf(assetId)
  // It has become an asset since the graph was read.
  return element === undefined ? yield* new NotFound({ what: "asset", id: assetId }) : { asset, graph, element }
})
