/** Points by their place, for finding the nearest within a few metres: a grid as wide as the tolerance. */
import { distanceBetween } from "../../kernel/cases/geo.ts"
import type { Position } from "./model.ts"

export interface Snap {
  readonly add: (name: string, position: Position) => void
  /** Undefined where none is within the tolerance. */
  readonly nearest: (position: Position) => string | undefined
}

/** `tolerance` in metres, more than 0. */
export const makeSnap = (tolerance: number): Snap => {
  const cells = new Map<string, Array<readonly [string, Position]>>()
  const height = tolerance / 111_000
  const row = (latitude: number) => Math.floor(latitude / height)
  // As wide as at the far edge of the row away from the equator, or wider: whoever is near is in this column or the next.
  const column = (longitude: number, ofRow: number) => {
    const edge = Math.min(89.9, (Math.abs(ofRow) + 1) * height)
    return Math.floor((longitude * Math.cos((edge * Math.PI) / 180)) / height)
  }
  const key = (ofRow: number, ofColumn: number) => `${ofRow} ${ofColumn}`
  return {
    add: (name, position) => {
      const ofRow = row(position[1])
      const cell = key(ofRow, column(position[0], ofRow))
      const there = cells.get(cell)
      if (there === undefined) cells.set(cell, [[name, position]])
      else there.push([name, position])
    },
    nearest: ([longitude, latitude]) => {
      let [best, found]: [number, string | undefined] = [tolerance, undefined]
      for (const ofRow of [-1, 0, 1].map((step) => row(latitude) + step)) {
        const middle = column(longitude, ofRow)
        for (const ofColumn of [middle - 1, middle, middle + 1])
          for (const [name, [x, y]] of cells.get(key(ofRow, ofColumn)) ?? []) {
            const distance = distanceBetween({ longitude, latitude }, { longitude: x, latitude: y })
            if (distance <= best) [best, found] = [distance, name]
          }
      }
      return found
    }
  }
}
