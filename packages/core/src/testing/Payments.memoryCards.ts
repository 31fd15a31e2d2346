/** Cards of the payment rail in memory: forms that nobody sees, and people whose the cards are. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { cardFormMistake, type CardBinding, type Payments, PaymentsError } from "../ports/Payments.ts"

const address = "https://rail.example/forms/"

const refuse = (operation: string, subject: string, message: string) =>
  new PaymentsError({ reason: "InvalidRequest", operation, subject, message, retryable: false })

export const memoryCards = () => {
  const bindings = new Map<string, CardBinding>()
  /** Their owners' numbers in the population register, by token. */
  const owners = new Map<string, string>()
  return {
    bindCard: Effect.fn("Payments.bindCard")(function* (request) {
      const wrong = cardFormMistake(request)
      if (wrong !== undefined) return yield* refuse("bindCard", request.id, wrong)
      if (!bindings.has(request.id)) bindings.set(request.id, { state: "waiting" })
      return { url: `${address}${request.id}`, expiresAt: (yield* Clock.currentTimeMillis) + 900_000 }
    }),
    boundCard: (id) =>
      Effect.suspend(() => {
        const binding = bindings.get(id)
        return binding === undefined
          ? Effect.fail(refuse("boundCard", id, "No form was asked for under this id."))
          : Effect.succeed(binding)
      }),
    cardBelongsTo: (token, personalNumber) => Effect.sync(() => owners.get(token) === personalNumber),
    fillIn: (url: string) =>
      Effect.sync(() => {
        const token = `tok_${owners.size + 1}`
        const owner = `3120790123${String(owners.size).padStart(4, "0")}`
        owners.set(token, owner)
        bindings.set(url.slice(address.length), { state: "bound", token, masked: "860000******0001" })
        return owner
      })
  } satisfies Pick<Payments["Service"], "bindCard" | "boundCard" | "cardBelongsTo"> & { readonly fillIn: unknown }
}
