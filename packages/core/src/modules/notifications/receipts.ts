/** Hears what becomes of messages, from every messenger of the city, as long as it runs. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Messengers } from "../../kernel/ports.ts"
import { applyReceipt } from "./settle.ts"

const patiently = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])
const soon = { schedule: Schedule.spaced("500 millis"), times: 3 }

/** Never ends by itself. Processes that hear the same receipt book it once. */
export const hearReceipts = Effect.gen(function* () {
  const messengers = yield* Messengers
  yield* Effect.forEach(
    [...messengers],
    ([name, { receipts }]) =>
      Stream.runForEach(receipts, (receipt) =>
        applyReceipt(receipt).pipe(
          Effect.retry(soon),
          Effect.catchCause((cause) => Effect.logWarning(`A receipt of ${name} could not be booked`, cause))
        )
      ).pipe(
        Effect.tapCause((cause) => Effect.logWarning(`Receipts of ${name} are not heard at the moment`, cause)),
        Effect.retry(patiently),
        Effect.ignore,
        Effect.andThen(Effect.never)
      ),
    { concurrency: "unbounded", discard: true }
  )
})
