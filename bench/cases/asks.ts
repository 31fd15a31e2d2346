/** Lists that people ask for. */
import type { CaseFilter } from "@mahalla/core/module"
import { cityBox } from "./fill.ts"

export interface Ask {
  readonly filter: (n: number) => CaseFilter
  readonly limit: number
  /** Index of who asks: 0 for all of the city, 1 for one district. */
  readonly who?: 1
}

/** A box of so many degrees that wanders through an area. */
const boxIn = (n: number, area: { west: number; south: number; width: number; height: number }, side: number) => {
  const west = area.west + ((n * 0.618_034) % 1) * (area.width - side)
  const south = area.south + ((n * 0.414_214) % 1) * (area.height - side)
  return { west, south, east: west + side, north: south + side }
}

// Where the country is as dense as the small table's only city.
const fields = { west: 67.2, south: 37.5, width: 1.2, height: 4 }

/** What is asked of both tables; `large`: of the one that is 100 times the other. */
export const asks = (large: boolean): Readonly<Record<string, Ask>> => ({
  "newest by type and state": { filter: () => ({ type: ["bench-report"], state: ["submitted"] }), limit: 50 },
  "open in one district": { filter: () => ({ type: ["bench-report"], phase: "open" }), limit: 50, who: 1 },
  "box with as many cases": {
    filter: (n) => ({ bbox: boxIn(n, large ? fields : cityBox, 0.025) }),
    limit: 20
  },
  "box in a city 50 times denser": { filter: (n) => ({ bbox: boxIn(n, cityBox, 0.025) }), limit: 20 },
  "rare word": { filter: () => ({ q: "heron" }), limit: 20 },
  "word of every tenth case": { filter: () => ({ q: "lamp" }), limit: 20 },
  "two words, one common": { filter: () => ({ q: "lamp heron" }), limit: 20 },
  "word in a box": { filter: (n) => ({ q: "lamp", bbox: boxIn(n, large ? fields : cityBox, 0.05) }), limit: 20 }
})
