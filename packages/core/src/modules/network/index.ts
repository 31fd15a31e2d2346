/**
 * Networks of pipes as a graph on the map: what lies where, what hangs together, which valves shut a leak off and who is without water then.
 * Comes in from EPANET and GeoJSON files. Use it wherever something flows through a town; rules, leaks and the control room look assets up here.
 */
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { NetworkApi } from "./api.ts"
import { NetworkGraphs } from "./graphs.ts"
import { assetsHandlers, networksHandlers } from "./handlers.ts"
import { importsHandlers } from "./importHandlers.ts"
import { importJob } from "./importJobs.ts"
import { AssetChanged, NetworkImported } from "./model.ts"

export { listAssets, loadAsset, loadAssets, nearestAsset } from "./assets.ts"
export { NetworkGraphs } from "./graphs.ts"
export { type ImportRequest, importNetwork } from "./importNetwork.ts"
export { isolate } from "./isolate.ts"
export type { ImportReport } from "./model.ts"
export { isolationOf } from "./plans.ts"
export { readNetwork } from "./readFile.ts"
export { type Transform, transformOf } from "./transform.ts"
export { connected, downstream, nearestDownstream, route, upstream } from "./trace.ts"

export const network = (): Module =>
  defineModule({
    id: "network",
    events: [NetworkImported, AssetChanged],
    jobs: [importJob],
    permissions: ["asset.read", "asset.change", "network.import"],
    migrations: [readMigration("network", new URL("./migrations/0001_network.sql", import.meta.url))],
    layer: NetworkGraphs.layer,
    api: {
      definition: NetworkApi,
      layer: HttpApiBuilder.layer(NetworkApi).pipe(Layer.provide([networksHandlers, assetsHandlers, importsHandlers]))
    }
  })
