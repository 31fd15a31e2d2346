/**
 * The words of networks. A **network** is what one file or one drawing describes: the mains of a town. An **asset** is one thing in it. Points
 * (junctions, tanks, meters) are the graph's nodes; lines (pipes, and pumps and valves as EPANET draws them) are its links. A valve that stands
 * on the map as a point is a node that shuts off everything at it.
 */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"

export const lineKinds = ["pipe", "valve", "pump", "other"] as const
export const pointKinds = ["valve", "pump", "reservoir", "tank", "junction", "meter", "hydrant", "other"] as const
export const AssetKind = Schema.Literals([
  "pipe",
  "valve",
  "pump",
  "reservoir",
  "tank",
  "junction",
  "meter",
  "hydrant",
  "other"
])
export type AssetKind = typeof AssetKind.Type
export type AssetShape = "point" | "line"
export type AssetStatus = "open" | "closed"
export type ImportFormat = "epanet" | "geojson"

/** Longitude and latitude in WGS84 degrees, as GeoJSON has them; in files that were not placed yet whatever units the file has. */
export type Position = readonly [x: number, y: number]

/** What a file or a person says of one asset; all units are the engine's. */
export interface AssetFacts {
  /** Name in the file or on the sign: 1–100 characters, unique among the points, or the lines, of a network. */
  readonly externalId: string
  readonly kind: AssetKind
  readonly status: AssetStatus
  /** False: a valve that cannot be moved. */
  readonly operable: boolean
  /** Water passes from `from` to `to` only. */
  readonly directed: boolean
  /** Metres. */
  readonly length: number | null
  /** Millimetres. */
  readonly diameter: number | null
  readonly material: string | null
  /** `YYYY-MM-DD`. */
  readonly installedOn: string | null
  readonly customers: number
  /** Mean draw, m³/h; below zero where water comes in. */
  readonly demand: number
  /** Whatever else is known; at most 8 KiB of JSON. */
  readonly properties: Readonly<Record<string, unknown>>
}

export interface FilePoint extends AssetFacts {
  readonly shape: "point"
  /** Null where the file does not say. */
  readonly position: Position | null
}

export interface FileLine extends AssetFacts {
  readonly shape: "line"
  /** External ids of the points at its ends. */
  readonly from: string
  readonly to: string
  /** Between the ends, from the first to the last. */
  readonly vertices: ReadonlyArray<Position>
}

/** A network as a file describes it; its coordinates are still the file's. */
export interface NetworkFile {
  readonly title: string
  readonly points: ReadonlyArray<FilePoint>
  readonly lines: ReadonlyArray<FileLine>
  /** For people: what was passed over, and why. */
  readonly warnings: ReadonlyArray<string>
}

/** What an import did, or in a dry run would do. */
export const ImportReport = Schema.Struct({
  added: Schema.Int,
  changed: Schema.Int,
  retired: Schema.Int,
  unchanged: Schema.Int,
  /** Names of the first twenty of each. */
  examples: Schema.Struct({
    added: Schema.Array(Schema.String),
    changed: Schema.Array(Schema.String),
    retired: Schema.Array(Schema.String)
  }),
  warnings: Schema.Array(Schema.String)
}).annotate({ identifier: "NetworkImportReport" })
export type ImportReport = typeof ImportReport.Type

export const NetworkImported = defineEvent({
  id: "network.imported",
  payload: Schema.Struct({
    networkId: Schema.String,
    name: Schema.String,
    added: Schema.Number,
    changed: Schema.Number,
    retired: Schema.Number
  })
})

/** By hand; an import is one event of its own. */
export const AssetChanged = defineEvent({
  id: "network.asset-changed",
  payload: Schema.Struct({
    networkId: Schema.String,
    assetId: Schema.String,
    externalId: Schema.String,
    kind: Schema.String,
    status: Schema.String,
    retired: Schema.Boolean
  })
})
