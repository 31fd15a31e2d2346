/** What a city's modules hold of people: sealed tables, for changes of keys, and parts of persons. */
import * as Context from "effect/Context"
import type { PersonPart } from "./PersonPart.ts"
import type { SealedPart } from "./SealedPart.ts"

/** Every table of sealed values in this city. */
export const SealedParts = Context.Reference<ReadonlyArray<SealedPart>>("@mahalla/kernel/SealedParts", {
  defaultValue: () => []
})

/** Everything that this city holds of a person. */
export const PersonParts = Context.Reference<ReadonlyArray<PersonPart>>("@mahalla/kernel/PersonParts", {
  defaultValue: () => []
})
