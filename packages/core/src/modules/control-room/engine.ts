/** What follows from somebody's step is the engine's doing, in their name: it needs no right of theirs, and the log says who it was. */
import * as Effect from "effect/Effect"
import { Actor, system } from "../../kernel/policy/Principal.ts"

export const asEngine = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Actor, ({ id, tenantId }) => Effect.provideService(effect, Actor, { ...system(tenantId), id }))
