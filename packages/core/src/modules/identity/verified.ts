/**
 * Asking for confirmed people in a case type: a guard, by its name in the definition, for creating a case or for a transition.
 *
 *     defineCaseType({
 *       definition: { …, guards: ["verified"], transitions: { endorse: { …, guards: ["verified"] } } },
 *       guards: { verified: verified("substantial") }
 *     })
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Guard } from "../../kernel/cases/CaseType.ts"
import { problem, registerProblems } from "../../kernel/http/problems.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { Assurance } from "../../ports/IdentityCheck.ts"
import { verifiedOf } from "./checks.ts"

/** Only somebody whom a register has confirmed may do this. */
export class NotVerified extends Data.TaggedError("NotVerified")<{ readonly needs: Assurance }> {
  override get message() {
    return `This is for people whom a register has confirmed (${this.needs} or surer). Confirm who you are first: POST /v1/me/identity-checks.`
  }
}

registerProblems({
  NotVerified: (error: NotVerified) => problem(403, "not-verified", error.message, { code: error.needs })
})

const order: ReadonlyArray<Assurance> = ["low", "substantial", "high"]

/** Lets pass whoever acts and was confirmed at least so surely; what the engine does by itself passes. */
export const verified =
  (atLeast: Assurance): Guard =>
  () =>
    Effect.gen(function* () {
      const { id, kind } = yield* Actor
      if (kind === "system") return
      const found = id === null ? undefined : yield* verifiedOf(id)
      if (found === undefined || order.indexOf(found.assurance) < order.indexOf(atLeast))
        return yield* new NotVerified({ needs: atLeast })
    })
