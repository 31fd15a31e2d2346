/**
 * A register in memory that knows three people and can be told to misbehave. For tests of whatever asks through the port.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  type Claims,
  IdentityCheck,
  type IdentityAnswer,
  IdentityCheckError,
  type IdentityCheckReason,
  questionMistake
} from "../ports/IdentityCheck.ts"
import { IdentityCheckControl, type IdentityCheckFault, IdentityCheckPeople } from "./IdentityCheck.suite.ts"

const known = { number: "31207901234567", birthDate: "1990-07-12" }
const people = IdentityCheckPeople.of({
  known,
  other: { number: "41503921234567", birthDate: "1992-03-15" },
  stranger: { number: "33112991234567", birthDate: "1999-12-31" },
  mistaken: { ...known, birthDate: "1991-07-12" },
  gone: { number: "30101501234567", birthDate: "1950-01-01" }
})

const fail = (reason: IdentityCheckReason, subject: string, message: string) =>
  new IdentityCheckError({
    reason,
    operation: "check",
    subject,
    message,
    retryable: reason === "Unavailable" || reason === "RateLimited"
  })

const refusals: Partial<Record<IdentityCheckFault, readonly [IdentityCheckReason, string]>> = {
  "rate-limited": ["RateLimited", "Too many questions; ask later."],
  unavailable: ["Unavailable", "The register is closed; ask later."],
  unauthorized: ["Unauthorized", "The register does not know us; check the key."]
}

const unsure: Partial<Record<IdentityCheckFault, string>> = {
  "lost-before": "The answer was lost.",
  "lost-after": "The answer was lost.",
  slow: "The answer did not come in time.",
  "server-error": "The register failed.",
  malformed: "The answer could not be read.",
  "wrong-content": "The answer was something else.",
  "wrong-id": "The answer was about another question.",
  pending: "The register has not decided yet."
}

const same = (one: Claims, other: Claims) => one.number === other.number && one.birthDate === other.birthDate

const answerTo = (claims: Claims): IdentityAnswer => {
  if (same(claims, people.gone!)) return { state: "not-confirmed", reason: "not-valid" }
  const place = [people.known, people.other].findIndex((one) => same(one, claims))
  return place < 0
    ? { state: "not-confirmed", reason: "no-match" }
    : { state: "confirmed", assurance: "substantial", reference: `memory-${place + 1}` }
}

const make = Effect.sync(() => {
  const asked = new Map<string, { readonly claims: Claims; times: number }>()
  const faults: Array<IdentityCheckFault> = []
  const form = { needs: ["birthDate"], numberPattern: "\\d{14}" } as const
  const register = IdentityCheck.of({
    ...form,
    title: { en: "Register of the tests" },
    numberTitle: { en: "Number" },
    patience: 200,
    check: Effect.fn("IdentityCheck.check")(function* (question) {
      const wrong = questionMistake(question, form)
      if (wrong !== undefined) return yield* fail("InvalidRequest", question.id, wrong)
      const before = asked.get(question.id)
      if (before !== undefined && !same(before.claims, question.claims))
        return yield* fail("InvalidRequest", question.id, "This id was used for another question; take a new one.")
      const entry = before ?? { claims: question.claims, times: 0 }
      asked.set(question.id, entry)
      entry.times += 1
      const fault = faults.shift()
      const refusal = fault === undefined ? undefined : refusals[fault]
      if (refusal !== undefined) return yield* fail(refusal[0], question.id, refusal[1])
      if (fault === "slow") yield* Effect.sleep(register.patience)
      const message = fault === undefined ? undefined : unsure[fault]
      return message === undefined
        ? answerTo(question.claims)
        : ({ state: "unknown", message } satisfies IdentityAnswer)
    })
  })
  const control = IdentityCheckControl.of({
    next: (fault) => Effect.sync(() => void faults.push(fault)),
    asked: (id) => Effect.sync(() => asked.get(id)?.times ?? 0)
  })
  return Context.make(IdentityCheck, register).pipe(
    Context.add(IdentityCheckPeople, people),
    Context.add(IdentityCheckControl, control)
  )
})

/** Everything is forgotten with the layer. */
export const memoryIdentityCheck: Layer.Layer<IdentityCheck | IdentityCheckPeople | IdentityCheckControl> =
  Layer.effectContext(make)
