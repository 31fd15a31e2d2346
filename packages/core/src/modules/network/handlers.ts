/** Answers at the doors of networks and assets. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Clock from "effect/Clock"
import { InvalidInput, NotFound, Refused } from "../../kernel/cases/model.ts"
import { boxAsked, versionAsked } from "../../kernel/http/asked.ts"
import { inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { NetworkApi } from "./api.ts"
import {
  type AssetFilter,
  type AssetRow,
  changeAsset,
  createAsset,
  listAssets,
  loadAsset,
  nearestAsset,
  retireAsset
} from "./assets.ts"
import { inGraph, NetworkGraphs } from "./graphs.ts"
import type { NetworkGraph } from "./graph.ts"
import type { AssetKind } from "./model.ts"
import { listNetworks, loadNetwork, lockNetwork, networkByName } from "./networks.ts"
import { isolationOf } from "./plans.ts"
import { encodeTile, loadTile } from "./tiles.ts"
import { connected, downstream, route, upstream } from "./trace.ts"
import { assetView, featureOf, networkView, traceView } from "./views.ts"

const issue = (pointer: string, detail: string) => new InvalidInput({ issues: [{ pointer, detail }] })

const assetAnswer = (row: AssetRow, status = 200, headers: Record<string, string> = {}) =>
  HttpServerResponse.jsonUnsafe(assetView(row), {
    status,
    headers: { ...headers, etag: `"${row.version}"`, ...(status === 201 ? { location: `/v1/assets/${row.id}` } : {}) }
  }) as never

const filterOf = Effect.fnUntraced(function* (query: {
  readonly network?: string
  readonly kind?: string
  readonly q?: string
  readonly bbox?: string
}) {
  const bbox = query.bbox === undefined ? undefined : boxAsked(query.bbox)
  if (bbox instanceof InvalidInput) return yield* bbox
  const filter: AssetFilter = {
    network: query.network,
    kind: query.kind?.split(",") as ReadonlyArray<AssetKind> | undefined,
    q: query.q,
    bbox
  }
  return filter
})

/** Features of an area at most. */
const most = 10_000

const traced = (id: string, trace: (graph: NetworkGraph, element: number) => ReadonlyArray<number>) =>
  inTenant(
    Effect.gen(function* () {
      yield* demandEverywhere("asset.read")
      const { element, graph } = yield* inGraph(id)
      return traceView(graph, trace(graph, element))
    })
  )

export const networksHandlers = HttpApiBuilder.group(NetworkApi, "networks", (group) =>
  group
    .handle("listNetworks", () =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          return { items: (yield* listNetworks).map(networkView) }
        })
      )
    )
    .handle("createNetwork", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.change")
          const create = Effect.gen(function* () {
            if ((yield* networkByName(payload.name)) !== undefined)
              return yield* issue("/name", `There is a network ${payload.name} already.`)
            const row = yield* lockNetwork(payload.name, new Date(yield* Clock.currentTimeMillis))
            return { status: 201, body: networkView(row) }
          })
          return (yield* once("networks", payload, create)).body
        })
      )
    )
    .handle("getNetwork", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          return networkView(yield* loadNetwork(params.id))
        })
      )
    )
    .handle("networkRoute", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          const graph = yield* (yield* NetworkGraphs).of(params.id)
          const [from, to] = [graph.elementOf(query.from), graph.elementOf(query.to)]
          if (from === undefined) return yield* new NotFound({ what: "asset of this network", id: query.from })
          if (to === undefined) return yield* new NotFound({ what: "asset of this network", id: query.to })
          const found = route(graph, from, to)
          if (found === undefined)
            return yield* new Refused({ code: "not-connected", message: "No pipes lead from one to the other." })
          return {
            metres: Math.round(found.metres * 1000) / 1000,
            assets: found.elements.map((element) => graph.ids[element]!)
          }
        })
      )
    )
    .handle("networkTile", ({ params, request }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          const { revision } = yield* loadNetwork(params.id)
          const tile = { z: params.z, x: params.x, y: Number.parseInt(params.y, 10) }
          for (const axis of ["x", "y"] as const)
            if (tile[axis] >= 2 ** tile.z)
              return yield* issue(`#params/${axis}`, `At zoom ${tile.z} tiles go from 0 to ${2 ** tile.z - 1}.`)
          const headers = { etag: `"${revision}"`, "cache-control": "private, no-cache" }
          if (request.headers["if-none-match"] === headers.etag)
            return HttpServerResponse.empty({ status: 304, headers }) as never
          const encoded = encodeTile(yield* loadTile(params.id, tile), tile)
          return HttpServerResponse.uint8Array(encoded, {
            contentType: "application/vnd.mapbox-vector-tile",
            headers
          }) as never
        })
      )
    )
)

export const assetsHandlers = HttpApiBuilder.group(NetworkApi, "assets", (group) =>
  group
    .handle("listAssets", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          const { cursor, limit = 50, ...asked } = query
          const page = yield* listAssets(yield* filterOf(asked), { cursor, limit })
          return { ...page, items: page.items.map(assetView) }
        })
      )
    )
    .handle("assetsGeoJson", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          const { cursor, items } = yield* listAssets(yield* filterOf(query), { limit: most })
          if (cursor !== undefined)
            return yield* new Refused({
              code: "too-many",
              message: `More than ${most} assets lie here. Take a smaller box, one kind, or the vector tiles.`
            })
          return { type: "FeatureCollection" as const, features: items.map(featureOf) }
        })
      )
    )
    .handle("nearestAsset", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          const { latitude, longitude, ...asked } = query
          const found = yield* nearestAsset({ longitude, latitude }, yield* filterOf(asked))
          if (found === undefined) return yield* new NotFound({ what: "asset within 5 km of", id: "this place" })
          return { asset: assetView(found.asset), metres: found.metres }
        })
      )
    )
    .handle("createAsset", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.change")
          const { geometry, ...given } = payload
          const isLine = given.fromId !== undefined || given.toId !== undefined
          if (geometry !== undefined && (geometry.type === "LineString") !== isLine)
            return yield* issue("/geometry/type", "A line with its two ends has a LineString, everything else a Point.")
          const positions = (
            geometry === undefined ? [] : geometry.type === "Point" ? [geometry.coordinates] : geometry.coordinates
          ).map(([longitude, latitude]) => [longitude!, latitude!] as const)
          const create = createAsset({
            ...{ status: "open", operable: true, directed: given.kind === "pump", length: null, diameter: null },
            ...{ material: null, installedOn: null, customers: 0, demand: 0, properties: {} },
            ...given,
            positions
          })
          const answer = yield* once(
            "assets",
            payload,
            Effect.map(create, ({ id }) => ({ status: 201, body: { id } }))
          )
          return assetAnswer(yield* loadAsset(answer.body.id), 201, answer.headers)
        })
      )
    )
    .handle("getAsset", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          return assetAnswer(yield* loadAsset(params.id))
        })
      )
    )
    .handle("changeAsset", ({ params, payload, request }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.change")
          return assetAnswer(yield* changeAsset(params.id, payload, yield* versionAsked(request)))
        })
      )
    )
    .handle("retireAsset", ({ params, request }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.change")
          yield* retireAsset(params.id, yield* versionAsked(request))
        })
      )
    )
    .handle("assetUpstream", ({ params }) => traced(params.id, upstream))
    .handle("assetDownstream", ({ params }) => traced(params.id, downstream))
    .handle("assetConnected", ({ params }) => traced(params.id, connected))
    .handle("assetIsolation", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("asset.read")
          return yield* isolationOf(params.id, query.stuck?.split(","))
        })
      )
    )
)
