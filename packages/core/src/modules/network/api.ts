/** Doors of the network module: networks, their assets, maps, what hangs together, imports. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { existsInCalendar } from "../../kernel/cases/schema.ts"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { AssetKind } from "./model.ts"
import { AssetFeature, AssetView, ImportView, IsolationView, NetworkView, RouteView, TraceView } from "./views.ts"

const between = (minimum: number, maximum: number) =>
  Schema.FiniteFromString.check(Schema.isBetween({ minimum, maximum }))
const Name = Schema.String.check(Schema.isPattern(/^\P{C}{1,100}$/u))
const Limit = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
const Amount = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1e9 }))
const Flow = Schema.Finite.check(Schema.isBetween({ minimum: -1e9, maximum: 1e9 }))
const Properties = Schema.Record(Schema.String, Schema.Unknown).check(
  Schema.makeFilter((value) => JSON.stringify(value).length <= 8192 || "Properties may have 8,192 characters of JSON.")
)
const Day = Schema.String.check(
  Schema.isPattern(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/),
  Schema.makeFilter((text: string) => existsInCalendar(text) || "There is no such day.")
).annotate({ format: "date" })
const Position = Schema.Array(Schema.Finite).check(
  Schema.makeFilter(
    ([longitude = Number.NaN, latitude = Number.NaN, ...more]: ReadonlyArray<number>) =>
      (Math.abs(longitude) <= 180 && Math.abs(latitude) <= 90 && more.length <= 1) ||
      "A position is longitude and latitude in degrees."
  )
)

/** What people may say of an asset and change; all of it has a default. */
const said = {
  status: Schema.optionalKey(Schema.Literals(["open", "closed"])),
  /** False: it cannot be moved. */
  operable: Schema.optionalKey(Schema.Boolean),
  /** Water goes from its first end to its second only. */
  directed: Schema.optionalKey(Schema.Boolean),
  length: Schema.optionalKey(Schema.NullOr(Amount)),
  diameter: Schema.optionalKey(Schema.NullOr(Amount)),
  material: Schema.optionalKey(Schema.NullOr(Name)),
  installedOn: Schema.optionalKey(Schema.NullOr(Day)),
  customers: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))),
  demand: Schema.optionalKey(Flow),
  properties: Schema.optionalKey(Properties)
}

export const NewAsset = Schema.Struct({
  networkId: Id,
  kind: AssetKind,
  externalId: Name,
  fromId: Schema.optionalKey(Id),
  toId: Schema.optionalKey(Id),
  /** RFC 7946. Of a line from end to end; by default the straight way. */
  geometry: Schema.optionalKey(
    Schema.Union([
      Schema.Struct({ type: Schema.Literal("Point"), coordinates: Position }),
      Schema.Struct({
        type: Schema.Literal("LineString"),
        coordinates: Schema.Array(Position).check(Schema.isMinLength(2), Schema.isMaxLength(10_000))
      })
    ])
  ),
  ...said
}).annotate({ identifier: "NewAsset" })

export const AssetChange = Schema.Struct(said).annotate({ identifier: "AssetChange" })

const filter = {
  network: Schema.optionalKey(Id),
  /** One or more of the kinds: `valve,hydrant`. */
  kind: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter(
        (text: string) => text.split(",").every(Schema.is(AssetKind)) || "Give kinds of assets, as valve,hydrant."
      )
    )
  ),
  /** How the external id begins. */
  q: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100)))
}

/** `west,south,east,north` in degrees. */
const Box = Schema.String.check(Schema.isMaxLength(200))
const TileNumber = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 4_194_303 }))

export const ImportQuery = {
  /** The network's name; it is made where it is not there. */
  network: Name,
  format: Schema.Literals(["epanet", "geojson"]),
  /** Only says what would change. */
  dryRun: Schema.optionalKey(Schema.Literals(["true", "false"])),
  /** Where the file's point (`x`, `y`) lies; by default the point (0, 0). */
  longitude: Schema.optionalKey(between(-180, 180)),
  latitude: Schema.optionalKey(between(-90, 90)),
  x: Schema.optionalKey(between(-1e9, 1e9)),
  y: Schema.optionalKey(between(-1e9, 1e9)),
  /** Metres of one unit of the file's coordinates. Default 1. */
  metresPerUnit: Schema.optionalKey(between(0, 1e6)),
  /** `EPSG:32642`, a PROJ text, or `degrees`. */
  projection: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(500))),
  /** Metres within which the end of a GeoJSON line and a point are one. Default 1. */
  tolerance: Schema.optionalKey(between(0.001, 100))
}

interface Operation {
  readonly requestBody?: unknown
}
const takesFile = <Entry extends Operation>(operation: Entry): Entry => ({
  ...operation,
  requestBody: {
    required: true,
    description:
      "The file as it is, at most 64 MiB, GeoJSON of more than 1 MiB as text/plain. More than 1 MiB is imported by a job: look at the import.",
    content: {
      "text/plain": { schema: { type: "string" } },
      "application/octet-stream": { schema: { type: "string" } }
    }
  }
})

export const NetworkApi = cityApi("network")
  .add(
    HttpApiGroup.make("networks")
      .add(
        HttpApiEndpoint.get("listNetworks", "/networks", {
          success: Schema.Struct({ items: Schema.Array(NetworkView) })
        })
      )
      .add(
        HttpApiEndpoint.post("createNetwork", "/networks", {
          payload: Schema.Struct({ name: Name }),
          success: NetworkView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(HttpApiEndpoint.get("getNetwork", "/networks/:id", { params: { id: Id }, success: NetworkView }))
      .add(
        HttpApiEndpoint.get("networkRoute", "/networks/:id/route", {
          params: { id: Id },
          query: { from: Id, to: Id },
          success: RouteView
        })
      )
      .add(
        HttpApiEndpoint.get("networkTile", "/networks/:id/tiles/:z/:x/:y", {
          params: {
            id: Id,
            z: Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 22 })),
            x: TileNumber,
            /** With `.mvt` behind it. */
            y: Schema.String.check(Schema.isPattern(/^\d{1,7}\.mvt$/))
          },
          success: Schema.Uint8Array.pipe(
            HttpApiSchema.asUint8Array({ contentType: "application/vnd.mapbox-vector-tile" })
          )
        })
      )
      .middleware(Door)
  )
  .add(
    HttpApiGroup.make("assets")
      .add(
        HttpApiEndpoint.get("listAssets", "/assets", {
          query: {
            ...filter,
            bbox: Schema.optionalKey(Box),
            cursor: Schema.optionalKey(Id),
            limit: Schema.optionalKey(Limit)
          },
          success: Schema.Struct({ items: Schema.Array(AssetView), cursor: Schema.optionalKey(Id) })
        })
      )
      .add(
        HttpApiEndpoint.get("assetsGeoJson", "/assets.geojson", {
          query: { ...filter, bbox: Box },
          success: Schema.Struct({
            type: Schema.Literal("FeatureCollection"),
            features: Schema.Array(AssetFeature)
          }).pipe(HttpApiSchema.asJson({ contentType: "application/geo+json" }))
        })
      )
      .add(
        HttpApiEndpoint.get("nearestAsset", "/assets/nearest", {
          query: { ...filter, longitude: between(-180, 180), latitude: between(-90, 90) },
          success: Schema.Struct({ asset: AssetView, metres: Schema.Finite })
        })
      )
      .add(
        HttpApiEndpoint.post("createAsset", "/assets", {
          payload: NewAsset,
          success: AssetView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(HttpApiEndpoint.get("getAsset", "/assets/:id", { params: { id: Id }, success: AssetView }))
      .add(
        HttpApiEndpoint.patch("changeAsset", "/assets/:id", {
          params: { id: Id },
          payload: AssetChange,
          success: AssetView
        })
      )
      .add(
        HttpApiEndpoint.delete("retireAsset", "/assets/:id", { params: { id: Id }, success: HttpApiSchema.NoContent })
      )
      .add(HttpApiEndpoint.get("assetUpstream", "/assets/:id/upstream", { params: { id: Id }, success: TraceView }))
      .add(HttpApiEndpoint.get("assetDownstream", "/assets/:id/downstream", { params: { id: Id }, success: TraceView }))
      .add(HttpApiEndpoint.get("assetConnected", "/assets/:id/connected", { params: { id: Id }, success: TraceView }))
      .add(
        HttpApiEndpoint.get("assetIsolation", "/assets/:id/isolation", {
          params: { id: Id },
          query: {
            /** Ids of valves that are found stuck besides those that are marked, with commas between. */
            stuck: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[0-9a-f-]{36}(,[0-9a-f-]{36}){0,99}$/)))
          },
          success: IsolationView
        })
      )
      .middleware(Door)
  )
  .add(
    HttpApiGroup.make("networkImports")
      .add(
        HttpApiEndpoint.post("importNetwork", "/network-imports", {
          query: ImportQuery,
          success: ImportView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesFile)
      )
      .add(
        HttpApiEndpoint.get("listNetworkImports", "/network-imports", {
          query: { cursor: Schema.optionalKey(Id), limit: Schema.optionalKey(Limit) },
          success: Schema.Struct({ items: Schema.Array(ImportView), cursor: Schema.optionalKey(Id) })
        })
      )
      .add(HttpApiEndpoint.get("getNetworkImport", "/network-imports/:id", { params: { id: Id }, success: ImportView }))
      .middleware(Door)
  )
  .prefix("/v1")
