/** The network that is measured: L-TOWN, with the sensors that its file marks. */
import { join } from "node:path"
import type { Site } from "./simulate.ts"

const pressures =
  "n1 n4 n31 n54 n105 n114 n163 n188 n215 n229 n288 n296 n332 n342 n410 n415 n429 n458 n469 n495 n506 n516 n519 n549 n613 n636 n644 n679 n722 n726 n740 n752 n769"

export const site = (folder: string): Site => ({
  path: join(folder, "L-TOWN.inp"),
  pressures: pressures.split(" "),
  // The two inlets and the pump that fills the tank of the higher part.
  flows: ["p227", "p235", "PUMP_1"],
  tank: "T1"
})
