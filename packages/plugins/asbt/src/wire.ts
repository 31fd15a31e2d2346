/**
 * What goes over the wire, and what it means: the one file to change where the authority's contract differs. The protocol in words is
 * docs/plugins/asbt.md.
 */
import type { Filing, FilingOutcome, FilingStatus } from "@mahalla/core/plugin"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** Kinds of filing that it takes. */
export const kinds = ["traffic-violation"] as const

export const paths = { file: "/v1/violations", status: "/v1/violations/status", ping: "/v1/ping" } as const

const moment = (milliseconds: number) => new Date(milliseconds).toISOString()

export const filingBody = (filing: Filing, callback: string | undefined): string =>
  JSON.stringify({
    number: filing.number,
    kind: filing.kind,
    offence: filing.offence,
    article: filing.article,
    vehicle: { plate: filing.plate, ...(filing.plateCountry === undefined ? {} : { country: filing.plateCountry }) },
    occurredAt: moment(filing.occurredAt),
    ...(filing.place === undefined ? {} : { place: filing.place }),
    evidence: filing.evidence.map(({ expiresAt, ...file }) => ({ ...file, expiresAt: moment(expiresAt) })),
    ...(callback === undefined ? {} : { callback })
  })

export const statusBody = (number: string): string => JSON.stringify({ number })

const Text = Schema.String.check(Schema.isMaxLength(2_000))
const Reference = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))
const Rejected = { code: Schema.String.check(Schema.isMaxLength(100)), text: Text }

const Taken = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ number: Schema.String, result: Schema.Literal("accepted"), docket: Reference }),
    Schema.Struct({ number: Schema.String, result: Schema.Literal("rejected"), ...Rejected })
  ])
)

const Known = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ number: Schema.String, status: Schema.Literals(["registered", "review"]), docket: Reference }),
    Schema.Struct({ number: Schema.String, status: Schema.Literal("rejected"), ...Rejected }),
    Schema.Struct({
      number: Schema.String,
      status: Schema.Literal("decided"),
      verdict: Schema.Literals(["fine", "no-violation"]),
      decision: Reference,
      decidedAt: Schema.DateTimeUtcFromString,
      /** Absent: what the article says. Minor units. */
      fine: Schema.optionalKey(
        Schema.Struct({
          amount: Schema.BigIntFromString,
          currency: Schema.String.check(Schema.isPattern(/^[A-Z]{3}$/))
        })
      )
    })
  ])
)

const Problem = Schema.fromJsonString(
  Schema.Struct({
    number: Schema.optionalKey(Schema.String),
    error: Schema.Struct({ code: Schema.String })
  })
)
const Callback = Schema.fromJsonString(Schema.Struct({ number: Schema.String, event: Schema.String }))

const read = <A>(schema: Schema.Codec<A, string>, text: string): A | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(schema)(text))

/** What became of a filing, in an answer about this number; undefined where it is about another one or cannot be read. */
export const readTaken = (number: string, text: string): FilingOutcome | undefined => {
  const answer = read(Taken, text)
  if (answer?.number !== number) return undefined
  return answer.result === "accepted"
    ? { state: "accepted", reference: answer.docket }
    : { state: "refused", code: answer.code, message: answer.text }
}

/** The same for a status. */
export const readStatus = (number: string, text: string): FilingStatus | undefined => {
  const answer = read(Known, text)
  if (answer?.number !== number) return undefined
  switch (answer.status) {
    case "registered":
      return { state: "received", reference: answer.docket }
    case "review":
      return { state: "in-review", reference: answer.docket }
    case "rejected":
      return { state: "refused", code: answer.code, message: answer.text }
    case "decided":
      return {
        state: "decided",
        ...(answer.verdict === "fine"
          ? { verdict: "fined", ...(answer.fine === undefined ? {} : { fine: answer.fine }) }
          : { verdict: "dismissed" }),
        reference: answer.decision,
        at: answer.decidedAt.epochMilliseconds
      }
  }
}

/** The code of an error about this number, or about none. */
export const readError = (number: string, text: string): string | undefined => {
  const answer = read(Problem, text)
  return answer === undefined || (answer.number !== undefined && answer.number !== number)
    ? undefined
    : answer.error.code
}

/** The number of ours that a callback is about. */
export const readCallback = (text: string): string | undefined => read(Callback, text)?.number
