/**
 * The client of the simulated register, written as one for a real register should be: only an answer about this very question counts, and
 * what cannot be read is `unknown`. No error and no message repeats anything of the person, nor what the register said.
 */
import {
  type HostOutward,
  IdentityCheck,
  type IdentityAnswer,
  IdentityCheckError,
  type IdentityCheckReason,
  type IdentityQuestion,
  type OutwardAnswer,
  questionMistake
} from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Answer = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({
      requestId: Schema.String,
      result: Schema.Literal("match"),
      assurance: Schema.Literals(["low", "substantial", "high"]),
      subjectRef: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))
    }),
    Schema.Struct({
      requestId: Schema.String,
      result: Schema.Literal("no-match"),
      code: Schema.Literals(["not-found", "different-data", "deceased", "document-withdrawn"])
    }),
    Schema.Struct({ requestId: Schema.String, result: Schema.Literal("pending") })
  ])
)
const decodeAnswer = Schema.decodeUnknownOption(Answer)

const form = { needs: ["birthDate"], numberPattern: "[1-6]\\d{13}" } as const

const advice: Record<IdentityCheckReason, string> = {
  InvalidRequest: "Correct it and ask under a new id.",
  Unauthorized: "Check the register's address in the configuration, and outwardNetworks of the city.",
  Unavailable: "Ask again later.",
  RateLimited: "Ask again later."
}

const failure = (reason: IdentityCheckReason, id: string, what: string) =>
  new IdentityCheckError({
    reason,
    operation: "check",
    subject: id,
    message: `${what} ${advice[reason]}`,
    retryable: reason === "Unavailable" || reason === "RateLimited"
  })

const unknown = (message: string): IdentityAnswer => ({ state: "unknown", message })

/** The answer in what came back about this id. */
const read = (id: string, body: string): IdentityAnswer => {
  const answer = Option.getOrUndefined(decodeAnswer(body))
  if (answer === undefined) return unknown("The register's answer could not be read.")
  if (answer.requestId !== id) return unknown("The register's answer was about another question.")
  switch (answer.result) {
    case "match":
      return { state: "confirmed", assurance: answer.assurance, reference: answer.subjectRef }
    case "pending":
      return unknown("The register has not decided yet.")
    case "no-match": {
      // Whoever tries numbers must not learn which of them are somebody's.
      const gone = answer.code === "deceased" || answer.code === "document-withdrawn"
      return { state: "not-confirmed", reason: gone ? "not-valid" : "no-match" }
    }
  }
}

const judge = (id: string, { body, status }: OutwardAnswer): Effect.Effect<IdentityAnswer, IdentityCheckError> => {
  switch (status) {
    case 200:
    case 202:
      return Effect.succeed(read(id, body))
    case 400:
      return Effect.fail(failure("InvalidRequest", id, "The register cannot read the question."))
    case 422:
      return Effect.fail(failure("InvalidRequest", id, "This id stands for another question."))
    case 401:
    case 403:
      return Effect.fail(failure("Unauthorized", id, "The register does not know us."))
    case 429:
      return Effect.fail(failure("RateLimited", id, "The register wants a pause."))
    case 503:
      return Effect.fail(failure("Unavailable", id, "The register is closed for the moment."))
    default:
      return Effect.succeed(unknown(`The register answered with status ${status}.`))
  }
}

const wireBody = ({ claims, id, purpose }: IdentityQuestion) =>
  JSON.stringify({
    requestId: id,
    // Who asks without it breaks the law of most countries; our engine asks nobody's register without it.
    consent: true,
    purpose,
    person: { nationalId: claims.number, birthDate: claims.birthDate }
  })

export const makeIdentityCheck = (
  patience: number,
  outward: HostOutward["Service"],
  endpoint: Effect.Effect<string, IdentityCheckError>,
  /** Networks of what the plugin has started itself. */
  own: ReadonlyArray<string>
): IdentityCheck["Service"] => {
  const ask = (question: IdentityQuestion) =>
    Effect.flatMap(endpoint, (url) => {
      const request = {
        url: `${url}/v1/checks`,
        body: wireBody(question),
        headers: { "content-type": "application/json", accept: "application/json" },
        seconds: patience / 1_000
      }
      return outward.post(request, own).pipe(
        Effect.flatMap((answer) => judge(question.id, answer)),
        Effect.catchTag("OutwardError", ({ reason }) =>
          reason === "Unanswered"
            ? Effect.succeed(unknown("The register's answer was lost."))
            : reason === "Unresolved"
              ? Effect.fail(failure("Unavailable", question.id, "The register's name is not known."))
              : Effect.fail(failure("Unauthorized", question.id, "The register's address may not be reached."))
        )
      )
    })
  return IdentityCheck.of({
    ...form,
    title: { en: "Civil registry (sandbox)", uz: "Fuqarolar reyestri (sinov)", ru: "Реестр граждан (песочница)" },
    numberTitle: { en: "PINFL", uz: "JShShIR", ru: "ПИНФЛ" },
    patience,
    check: Effect.fn("IdentityCheck.check")(function* (question) {
      const wrong = questionMistake(question, form)
      if (wrong !== undefined) return yield* failure("InvalidRequest", question.id, wrong)
      return yield* ask(question)
    })
  })
}
