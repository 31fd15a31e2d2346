/**
 * An authority in memory that fines nobody and can be told to misbehave. For tests of whatever files through the port.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import {
  Authority,
  AuthorityError,
  type AuthorityReason,
  type Filing,
  filingBody,
  filingMistake,
  type FilingOutcome,
  type FilingStatus
} from "../ports/Authority.ts"
import { AuthorityControl, type AuthorityFault } from "./Authority.suite.ts"

interface Entry {
  readonly body: string
  readonly reference: string
  status: FilingStatus
  /** Not yet known to `status`. */
  hidden: boolean
}

const fail = (reason: AuthorityReason, operation: string, subject: string, message: string) =>
  new AuthorityError({ reason, operation, subject, message, retryable: reason !== "InvalidRequest" })

const unsure: Partial<Record<AuthorityFault, string>> = {
  "lost-after": "The answer was lost.",
  late: "The answer was lost.",
  slow: "The answer did not come in time.",
  malformed: "The answer could not be read.",
  "wrong-content": "The answer was a page.",
  "wrong-number": "The answer was about another number.",
  "error-body": "The answer was an error.",
  forged: "The answer was not signed."
}

const make = Effect.fnUntraced(function* (kinds: ReadonlyArray<string>) {
  const entries = new Map<string, Entry>()
  const faults: Array<AuthorityFault> = []
  const told = yield* PubSub.unbounded<string>()
  let counter = 0

  const take = (about: "file" | "status") => {
    const at = faults.findIndex((fault) => fault.startsWith("status-") === (about === "status"))
    return at < 0 ? undefined : faults.splice(at, 1)[0]
  }

  const answerOf = ({ reference, status }: Entry): FilingOutcome =>
    status.state === "refused" ? status : { state: "accepted", reference }

  const file = Effect.fn("Authority.file")(function* (filing: Filing): Effect.fn.Return<FilingOutcome, AuthorityError> {
    const { number } = filing
    const wrong = filingMistake(filing, kinds)
    if (wrong !== undefined) return yield* fail("InvalidRequest", "file", number, wrong)
    const body = filingBody(filing)
    const known = entries.get(number)
    if (known !== undefined && known.body !== body)
      return yield* fail("InvalidRequest", "file", number, "This number stands for another filing; take a new one.")
    const fault = take("file")
    if (fault === "rate-limited") return yield* fail("RateLimited", "file", number, "Too many requests; try later.")
    if (fault === "unavailable") return yield* fail("Unavailable", "file", number, "It is away; try later.")
    if (fault === "lost-before") return { state: "unknown", message: "The answer was lost." }
    const reference = `memory-${known === undefined ? ++counter : counter}`
    const entry: Entry = known ?? {
      body,
      reference,
      status:
        fault === "refused"
          ? { state: "refused", code: "incomplete", message: "The plate cannot be seen." }
          : { state: "received", reference },
      hidden: fault === "late"
    }
    entries.set(number, entry)
    const message = fault === undefined ? undefined : unsure[fault]
    return message === undefined ? answerOf(entry) : { state: "unknown", message }
  })

  const change = (number: string, status: (entry: Entry) => FilingStatus) =>
    Effect.suspend(() => {
      const entry = entries.get(number)
      if (entry === undefined) return Effect.die(new Error(`Nothing was filed under ${number}.`))
      entry.status = status(entry)
      return Effect.asVoid(PubSub.publish(told, number))
    })

  const authority = Authority.of({
    kinds,
    file,
    status: (number) =>
      Effect.suspend((): Effect.Effect<FilingStatus, AuthorityError> => {
        if (take("status") !== undefined)
          return Effect.fail(fail("Unavailable", "status", number, "The answer could not be read; ask again."))
        const entry = entries.get(number)
        return Effect.succeed(entry === undefined || entry.hidden ? { state: "not-found", final: false } : entry.status)
      }),
    notices: Stream.fromPubSub(told)
  })
  const control = AuthorityControl.of({
    next: (fault) => Effect.sync(() => void faults.push(fault)),
    settle: Effect.sync(() => {
      for (const entry of entries.values()) entry.hidden = false
    }),
    review: (number) => change(number, ({ reference }) => ({ state: "in-review", reference })),
    decide: (number, fine) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) =>
        change(number, ({ reference }) => ({
          state: "decided",
          ...(fine === undefined ? { verdict: "dismissed" } : { verdict: "fined", fine }),
          reference: `${reference}/1`,
          at
        }))
      ),
    effects: (number) =>
      Effect.sync(() => {
        const entry = entries.get(number)
        return entry === undefined || entry.status.state === "refused" ? 0 : 1
      })
  })
  return Context.make(Authority, authority).pipe(Context.add(AuthorityControl, control))
})

/** Takes `kinds`, by default traffic violations. Everything is forgotten with the layer. */
export const memoryAuthority = (options?: {
  readonly kinds?: ReadonlyArray<string>
}): Layer.Layer<Authority | AuthorityControl> => Layer.effectContext(make(options?.kinds ?? ["traffic-violation"]))
