/** Networks and assets as the API gives them. */
import * as Schema from "effect/Schema"
import { Id } from "../../kernel/ids.ts"
import { type AssetRow, positionsOf } from "./assets.ts"
import type { ImportRow } from "./importJobs.ts"
import type { Isolation } from "./isolate.ts"
import { AssetKind, ImportReport } from "./model.ts"
import type { NetworkGraph } from "./graph.ts"
import type { NetworkRow } from "./networks.ts"
import { Transform } from "./transform.ts"

const Timestamp = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC" })
const Coordinate = Schema.Array(Schema.Finite)

export const NetworkView = Schema.Struct({
  id: Id,
  name: Schema.String,
  source: Schema.Literals(["hand", "epanet", "geojson"]),
  transform: Schema.NullOr(Transform),
  importedAt: Schema.NullOr(Timestamp),
  createdAt: Timestamp
}).annotate({ identifier: "Network" })

const Geometry = Schema.Union([
  Schema.Struct({ type: Schema.Literal("Point"), coordinates: Coordinate }),
  Schema.Struct({ type: Schema.Literal("LineString"), coordinates: Schema.Array(Coordinate) })
]).annotate({ description: "RFC 7946, longitude first" })

const facts = {
  kind: AssetKind,
  externalId: Schema.String,
  status: Schema.Literals(["open", "closed"]),
  operable: Schema.Boolean,
  directed: Schema.Boolean,
  /** Metres. */
  length: Schema.NullOr(Schema.Finite),
  /** Millimetres. */
  diameter: Schema.NullOr(Schema.Finite),
  material: Schema.NullOr(Schema.String),
  installedOn: Schema.NullOr(Schema.String.annotate({ format: "date" })),
  customers: Schema.Int,
  /** m³/h. */
  demand: Schema.Finite,
  properties: Schema.Record(Schema.String, Schema.Unknown)
}

export const AssetView = Schema.Struct({
  id: Id,
  networkId: Id,
  shape: Schema.Literals(["point", "line"]),
  ...facts,
  fromId: Schema.NullOr(Id),
  toId: Schema.NullOr(Id),
  geometry: Schema.NullOr(Geometry),
  version: Schema.Int,
  retiredAt: Schema.NullOr(Timestamp),
  changedAt: Timestamp
}).annotate({ identifier: "Asset" })

export const AssetFeature = Schema.Struct({
  type: Schema.Literal("Feature"),
  id: Id,
  geometry: Schema.NullOr(Geometry),
  properties: Schema.Struct({ networkId: Id, ...facts })
})

/** What traces and isolations are made of; names are enough to draw and to list them. */
export const AssetRef = Schema.Struct({ id: Id, externalId: Schema.String, kind: AssetKind }).annotate({
  identifier: "AssetRef"
})
type AssetRef = typeof AssetRef.Type

export const TraceView = Schema.Struct({
  count: Schema.Int,
  /** Metres of pipes. */
  length: Schema.Finite,
  customers: Schema.Int,
  /** m³/h. */
  demand: Schema.Finite,
  /** Ids of all of them. */
  assets: Schema.Array(Id)
}).annotate({ identifier: "Trace" })

export const RouteView = Schema.Struct({ metres: Schema.Finite, assets: Schema.Array(Id) }).annotate({
  identifier: "PipeRoute"
})

export const IsolationView = Schema.Struct({
  /** False: the valves do not shut it off, because of `sources`. */
  isolated: Schema.Boolean,
  close: Schema.Array(AssetRef),
  keepClosed: Schema.Array(AssetRef),
  stuck: Schema.Array(AssetRef),
  sources: Schema.Array(AssetRef),
  /** Ids of what lies between the valves. */
  segment: Schema.Array(Id),
  withoutWater: Schema.Struct({
    customers: Schema.Int,
    meters: Schema.Int,
    /** m³/h. */
    demand: Schema.Finite,
    assets: Schema.Array(Id)
  })
}).annotate({ identifier: "Isolation" })

export const ImportView = Schema.Struct({
  id: Id,
  network: Schema.String,
  format: Schema.Literals(["epanet", "geojson"]),
  dryRun: Schema.Boolean,
  state: Schema.Literals(["waiting", "running", "done", "failed"]),
  /** Assets written, of `total`. */
  done: Schema.Int,
  total: Schema.Int,
  report: Schema.NullOr(ImportReport),
  error: Schema.NullOr(Schema.String),
  createdAt: Timestamp,
  finishedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "NetworkImport" })

export const networkView = ({ createdAt, id, importedAt, name, source, transform }: NetworkRow) => ({
  id,
  name,
  source,
  transform,
  importedAt: importedAt?.toISOString() ?? null,
  createdAt: createdAt.toISOString()
})

const geometryOf = (row: AssetRow) => {
  const positions = positionsOf(row)
  if (positions.length === 0) return null
  return row.shape === "line"
    ? ({ type: "LineString", coordinates: positions } as const)
    : ({ type: "Point", coordinates: positions[0]! } as const)
}

export const assetView = (row: AssetRow): typeof AssetView.Type => {
  const { changedAt, coordinates: _c, latitude: _y, longitude: _x, retiredAt, ...rest } = row
  return {
    ...rest,
    geometry: geometryOf(row),
    retiredAt: retiredAt?.toISOString() ?? null,
    changedAt: changedAt.toISOString()
  }
}

export const featureOf = (row: AssetRow): typeof AssetFeature.Type => {
  const { customers, demand, diameter, directed, externalId, id, installedOn, kind, length, material } = row
  const { networkId, operable, properties, status } = row
  return {
    type: "Feature",
    id,
    geometry: geometryOf(row),
    properties: {
      ...{ networkId, kind, externalId, status, operable, directed, length, diameter, material, installedOn },
      ...{ customers, demand, properties }
    }
  }
}

export const importView = ({ createdAt, finishedAt, options, ...rest }: ImportRow) => ({
  ...rest,
  dryRun: options.dryRun,
  createdAt: createdAt.toISOString(),
  finishedAt: finishedAt?.toISOString() ?? null
})

const rounded = (value: number) => Math.round(value * 1000) / 1000

export const traceView = (graph: NetworkGraph, elements: ReadonlyArray<number>) => {
  const sum = (get: (element: number) => number) => rounded(elements.reduce((total, one) => total + get(one), 0))
  return {
    count: elements.length,
    length: sum((one) => (one < graph.nodeCount ? 0 : graph.length[one - graph.nodeCount]!)),
    customers: sum((one) => graph.customers[one]!),
    demand: sum((one) => graph.demand[one]!),
    assets: elements.map((one) => graph.ids[one]!)
  }
}

/** `refs`: all that is named. */
export const isolationView = (graph: NetworkGraph, found: Isolation, refs: ReadonlyMap<string, AssetRef>) => {
  const ids = (elements: ReadonlyArray<number>) => elements.map((one) => graph.ids[one]!)
  const named = (elements: ReadonlyArray<number>) =>
    ids(elements)
      .flatMap((id) => refs.get(id) ?? [])
      .map(({ externalId, id, kind }) => ({ id, externalId, kind }))
  return {
    isolated: found.isolated,
    close: named(found.close),
    keepClosed: named(found.keepClosed),
    stuck: named(found.stuck),
    sources: named(found.sources),
    segment: ids(found.segment),
    withoutWater: {
      customers: found.customers,
      meters: found.meters,
      demand: found.demand,
      assets: ids(found.withoutWater)
    }
  }
}
