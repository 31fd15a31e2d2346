/** What a module holds of a person: its share of the copy that they may ask for, and how it ends. */
import type * as Effect from "effect/Effect"
import type { Erased } from "../Erased.ts"

export interface PersonPart {
  /** A member of the copy's JSON, as `payouts`. */
  readonly id: string
  /** JSON of what is held, in words that the person understands; inside the person's tenant. */
  readonly collect: (personId: string) => Effect.Effect<unknown, unknown, Erased>
  /** True while something must end first, as money on its way. Default: never. */
  readonly isOpen?: (personId: string) => Effect.Effect<boolean, unknown, Erased>
  /**
   * Takes away the person's values and keeps what others need: a case stays, its owner is nobody. Runs in one transaction with all other
   * parts, as the platform: name the tenant in every statement.
   */
  readonly erase: (personId: string) => Effect.Effect<void, unknown, Erased>
}
