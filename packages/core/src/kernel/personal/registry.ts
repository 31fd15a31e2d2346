/** What a city's modules hold of people: its sealed tables, for changes of keys. */
import * as Context from "effect/Context"
import type { SealedPart } from "./SealedPart.ts"

/** Every table of sealed values in this city. */
export const SealedParts = Context.Reference<ReadonlyArray<SealedPart>>("@mahalla/kernel/SealedParts", {
  defaultValue: () => []
})
