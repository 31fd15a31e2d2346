/** What the engine's job does with a payment: never a new id, and only an answer about the id ends it. */
import { randomUUID } from "node:crypto"
import type { PaymentRequest, Payments } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"

export const request = (change: Partial<PaymentRequest> = {}): PaymentRequest => ({
  id: randomUUID(),
  payee: { kind: "card-token", value: "tok_test" },
  money: { amount: 5_000_000n, currency: "UZS" },
  memo: "Reward",
  ...change
})

/** `again`: whether to send it once more where asking would do; taken in turn. Gives the state in which it ends. */
export const drive = Effect.fnUntraced(function* (
  payments: Payments["Service"],
  asked: PaymentRequest,
  again: ReadonlyArray<boolean> = [false]
) {
  let state: string = "not-found"
  for (let step = 0; state !== "succeeded" && state !== "failed"; step++) {
    const pays = state === "not-found" || again[step % again.length] === true
    const outcome = yield* Effect.catch(pays ? payments.pay(asked) : payments.status(asked.id), () =>
      Effect.as(Effect.sleep(10), { state: "unknown" } as const)
    )
    state = outcome.state
    if (state === "pending") yield* Effect.sleep(10)
  }
  return state
})
