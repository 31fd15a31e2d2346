/**
 * A register of people that says whether somebody is in it: a national registry, a society's member list.
 *
 * It is asked one closed question, with what the person claims and nothing besides, and answers yes or no, never with data of its own.
 * A lost answer is no "no": it is the outcome `unknown`, after which the same question is asked again under the same id.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { PortError } from "./PortError.ts"

export type IdentityCheckReason =
  /** The question cannot be asked like this: a claim is missing, too many, or not in the register's form. */
  | "InvalidRequest"
  /** The register does not know us, or its address may not be reached; somebody must change the configuration. */
  | "Unauthorized"
  /** The question was not looked at; ask it again. */
  | "Unavailable"
  | "RateLimited"

export class IdentityCheckError extends PortError("IdentityCheckError")<IdentityCheckReason> {}

/** What people may be asked for besides their number. */
export type ClaimName = "birthDate" | "name"

/** What somebody says of themselves. Personal data: in no error, no log. */
export interface Claims {
  /** Theirs in this register, in its one normal form (`normalNumber`): a national id, a passport, a member number. */
  readonly number: string
  /** `1990-07-31`. */
  readonly birthDate?: string
  /** As it stands in the register. */
  readonly name?: string
}

export interface IdentityQuestion {
  /** Ours, unique for ever: a UUID. The register may show it in its own log. */
  readonly id: string
  readonly claims: Claims
  /** Why it is asked, for the register's log: 1–200 characters, nothing personal. */
  readonly purpose: string
}

/**
 * How sure the register is, in the words of eIDAS (EU 2015/1502). `low`: a number that others may know. `substantial`: a state's register has
 * this person with these data. `high`: the person was there as well, by a face or a chip.
 */
export type Assurance = "low" | "substantial" | "high"

export type IdentityAnswer =
  /** `reference`: the register's own name of this person, always the same one and not their number. At most 200 characters. */
  | { readonly state: "confirmed"; readonly assurance: Assurance; readonly reference: string }
  /**
   * The register says finally no. `no-match`: nobody with this number, or their other data are different, and it is not told which.
   * `not-valid`: it has them and does not vouch for them, as for the dead or for members who left.
   */
  | { readonly state: "not-confirmed"; readonly reason: "no-match" | "not-valid" }
  /** The answer was lost, late or unreadable, or the register has not decided yet. */
  | { readonly state: "unknown"; readonly message: string }

/** Text by language, BCP 47; `en` is always there. */
export type RegisterText = Readonly<Record<string, string>> & { readonly en: string }

export class IdentityCheck extends Context.Service<
  IdentityCheck,
  {
    /** What people call the register, as "Civil registry". */
    readonly title: RegisterText
    /** What they call their number in it, as "PINFL". */
    readonly numberTitle: RegisterText
    /** A regular expression for the whole of a number in its normal form. */
    readonly numberPattern: string
    /** What it needs besides the number; anything else is refused, so that nobody gives it more. */
    readonly needs: ReadonlyArray<ClaimName>
    /** Milliseconds after which a question without an answer has ended as `unknown`. At most 30,000. */
    readonly patience: number
    /**
     * Asks. However often it is called with one id and the same claims, the answer is that of one question; an id with other claims gets
     * `InvalidRequest` or the answer about these claims, never the one about the first. The error channel means that surely nobody has
     * looked at it.
     */
    readonly check: (question: IdentityQuestion) => Effect.Effect<IdentityAnswer, IdentityCheckError>
  }
>()("@mahalla/ports/IdentityCheck") {}

/** The one form of a number: capitals, without the spaces, dots and dashes that people put in. */
export const normalNumber = (text: string): string =>
  text
    .normalize("NFKC")
    .replace(/[\s.\u2010-\u2015-]/g, "")
    .toUpperCase()

/** Whether a text is a day of the calendar: `1990-07-31`. */
export const isBirthDate = (text: string): boolean =>
  /^(18|19|20)\d{2}-\d{2}-\d{2}$/.test(text) &&
  Option.contains(Option.map(DateTime.make(text), DateTime.formatIsoDateUtc), text)

/** A claim that is not as a register needs it. */
export interface ClaimMistake {
  readonly claim: keyof Claims
  /** In words for people; the value is never repeated in them. */
  readonly detail: string
}

/** Everything in the claims that is not as this register needs it. */
export const claimMistakes = (
  claims: Claims,
  register: { readonly needs: ReadonlyArray<ClaimName>; readonly numberPattern: string }
): ReadonlyArray<ClaimMistake> => {
  const { birthDate, name, number } = claims
  const found: Array<ClaimMistake> = []
  const add = (claim: keyof Claims, detail: string) => found.push({ claim, detail })
  if (number !== normalNumber(number) || !new RegExp(`^(?:${register.numberPattern})$`, "u").test(number))
    add("number", "This is no number of this register. Compare it with your document.")
  for (const claim of ["birthDate", "name"] as const) {
    if (register.needs.includes(claim) === (claims[claim] !== undefined)) continue
    add(
      claim,
      claims[claim] === undefined ? "This register needs it." : "This register does not need it; leave it out."
    )
  }
  if (birthDate !== undefined && !isBirthDate(birthDate)) add("birthDate", "Give a day as 1990-07-31.")
  if (name !== undefined && (name.trim() === "" || name.length > 200)) add("name", "Give 1 to 200 characters.")
  return found
}

/** What makes a question unfit for this register, in words for the `InvalidRequest`; undefined when it is fit. */
export const questionMistake = (
  question: IdentityQuestion,
  register: Parameters<typeof claimMistakes>[1]
): string | undefined => {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(question.id)) return "The id must be a UUID."
  if (question.purpose === "" || question.purpose.length > 200) return "The purpose must have 1 to 200 characters."
  const [mistake] = claimMistakes(question.claims, register)
  return mistake === undefined ? undefined : `The claim ${mistake.claim} is not fit. ${mistake.detail}`
}
