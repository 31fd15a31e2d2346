/**
 * Places as H3 cells, so that an ordinary B-tree finds what is near: boxes become a few ranges of cell numbers, and exact bounds or
 * distances sort out the rest.
 */
import { cellToParent, getHexagonEdgeLengthAvg, greatCircleDistance, gridDisk, latLngToCell } from "h3-js"
import type { Place } from "./model.ts"

/** WGS84 degrees; `west` greater than `east` crosses the antimeridian. */
export interface BoundingBox {
  readonly west: number
  readonly south: number
  readonly east: number
  readonly north: number
}

/** First and last cell number, both included. */
export type CellRange = readonly [from: bigint, to: bigint]

/** The resolution of stored cells: edges of about 200 m. */
export const cellResolution = 9

/** The number of the cell in which a place lies, as column `h3` has it. */
export const cellOf = (place: Place): bigint =>
  BigInt(`0x${latLngToCell(place.latitude, place.longitude, cellResolution)}`)

/** Metres between two places along the great circle. */
export const distanceBetween = (a: Place, b: Place): number =>
  greatCircleDistance([a.latitude, a.longitude], [b.latitude, b.longitude], "m")

const metresPerDegree = 111_195

/** The box of all that is within so many metres of a place. */
export const boxAround = (place: Place, metres: number): BoundingBox => {
  const height = (metres / metresPerDegree) * 1.01
  const [south, north] = [Math.max(-90, place.latitude - height), Math.min(90, place.latitude + height)]
  const width = height / Math.cos((Math.max(Math.abs(south), Math.abs(north)) * Math.PI) / 180)
  if (width >= 180 || south <= -89.9 || north >= 89.9) return { west: -180, south, east: 180, north }
  const around = (longitude: number) => ((longitude + 540) % 360) - 180
  return { west: around(place.longitude - width), south, east: around(place.longitude + width), north }
}

const maxRanges = 64

// A cell number holds its resolution, a base cell and three bits for each finer step, all ones below its own resolution.
const resolutionShift = 52n
const digitsBelow = (resolution: number) => (1n << BigInt(3 * (15 - resolution))) - 1n
const finest = digitsBelow(cellResolution)

/** All stored cells that descend from a cell: a run of numbers without a gap. */
const descendants = (cell: string, resolution: number): CellRange => {
  const number = BigInt(`0x${cell}`)
  const asStored = number - (BigInt(resolution) << resolutionShift) + (BigInt(cellResolution) << resolutionShift)
  return [(asStored & ~digitsBelow(resolution)) | finest, asStored]
}

const merge = (ranges: ReadonlyArray<CellRange>): ReadonlyArray<CellRange> => {
  const merged: Array<[bigint, bigint]> = []
  for (const [from, to] of [...ranges].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const last = merged.at(-1)
    // Next to each other when nothing fits between: numbers differ in the bits above the unused ones.
    if (last !== undefined && from - last[1] <= finest + 1n) last[1] = to > last[1] ? to : last[1]
    else merged.push([from, to])
  }
  return merged
}

/**
 * Cells of one resolution that hold every stored cell with a point in the box: those under a grid of points half an edge apart, and
 * their neighbours, because a cell's descendants reach a little beyond its edges.
 */
const cover = (box: BoundingBox, width: number, resolution: number): ReadonlyArray<string> => {
  const step = getHexagonEdgeLengthAvg(resolution, "m") / 2 / metresPerDegree
  const rows = Math.ceil((box.north - box.south) / step)
  const found = new Set<string>()
  for (let row = 0; row <= rows; row++) {
    const latitude = rows === 0 ? box.south : box.south + ((box.north - box.south) * row) / rows
    const columns = Math.ceil((width * Math.cos((latitude * Math.PI) / 180)) / step)
    for (let column = 0; column <= columns; column++) {
      const longitude = columns === 0 ? box.west : box.west + (width * column) / columns
      found.add(cellToParent(latLngToCell(latitude, longitude, cellResolution), resolution))
    }
  }
  return [...new Set([...found].flatMap((cell) => gridDisk(cell, 1)))]
}

/** At most 64 ranges that hold the cell of every place in the box, and of others near it: compare the exact degrees too. */
export const coveringRanges = (box: BoundingBox): ReadonlyArray<CellRange> => {
  if (box.south > box.north) return []
  const width = box.west <= box.east ? box.east - box.west : box.east - box.west + 360
  const middle = Math.cos((((box.south + box.north) / 2) * Math.PI) / 180)
  for (let resolution = cellResolution; resolution > 0; resolution--) {
    const edge = getHexagonEdgeLengthAvg(resolution, "m") / metresPerDegree
    // The area in cells, with a ring around; neighbours merge, so twice the limit is worth a try.
    const cells = ((width * middle + 4 * edge) * (box.north - box.south + 4 * edge)) / (2.6 * edge * edge)
    if (cells > maxRanges * 2) continue
    const ranges = merge(cover(box, width, resolution).map((cell) => descendants(cell, resolution)))
    if (ranges.length <= maxRanges) return ranges
  }
  return merge(cover(box, width, 0).map((cell) => descendants(cell, 0)))
}
