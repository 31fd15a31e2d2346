/** Inside networks to which requests may go that leave the city: `outwardNetworks` of its configuration. */
import * as Context from "effect/Context"

export const OutwardNetworks = Context.Reference<ReadonlyArray<string>>("@mahalla/kernel/OutwardNetworks", {
  defaultValue: () => []
})
