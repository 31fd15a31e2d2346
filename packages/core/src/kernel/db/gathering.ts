/**
 * Questions and writes of several requests in one statement. While one is under way the next requests gather, so each is alone when there
 * is little to do and many go together when there is much; nobody waits for a clock.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"

/** A batch that waits for a lock must not hold up what comes after it. */
const patience = "50 millis"

/**
 * `together` answers a batch in its order; its failure is everybody's. Ask outside of transactions: a batch runs in the context of whoever
 * came first.
 */
export const gathering = <In, Out, E>(
  together: (given: ReadonlyArray<In>) => Effect.Effect<ReadonlyArray<Out>, E>,
  /** In one batch at most: it stays short, and little is repeated when one of them makes it fail. */
  most = 64
): ((given: In) => Effect.Effect<Out, E>) => {
  class Part extends Request.Class<{ readonly given: In }, Out, E> {}
  let before: Effect.Effect<unknown> = Effect.void
  const resolver = RequestResolver.make<Part>((entries) => {
    const ended = Deferred.makeUnsafe<void>()
    before = Deferred.await(ended)
    return together(entries.map(({ request }) => request.given)).pipe(
      Effect.map((answers) => entries.forEach((entry, place) => entry.completeUnsafe(Exit.succeed(answers[place]!)))),
      Effect.ensuring(Deferred.succeed(ended, undefined))
    )
  }).pipe(
    RequestResolver.setDelayEffect(
      Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => Effect.asVoid(Effect.timeoutOption(before, patience)))
      )
    ),
    RequestResolver.batchN(most)
  )
  return (given) => Effect.request(new Part({ given } as never), resolver)
}
