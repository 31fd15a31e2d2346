/** Signing in: what can go wrong, and the limits. */
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"

/** E.164: a plus and 7–15 digits. */
export const Phone = Schema.String.check(Schema.isPattern(/^\+[1-9]\d{6,14}$/)).annotate({
  identifier: "Phone",
  description: "E.164, as +998901234567"
})

/** What somebody has shown to begin a session. */
export const SignInBy = Schema.Literals(["code", "link", "passkey", "openid"])
export type SignInBy = typeof SignInBy.Type

/** What was shown is wrong, used, or too old; one text for all, so that nothing can be learned from it. */
export class SignInRefused extends Data.TaggedError("SignInRefused")<{ readonly message: string }> {}

export const codeRefused = new SignInRefused({ message: "The code is wrong or too old. Ask for a new one." })

/**
 * What a code was asked for; it is worth nothing for anything else. Apps of third parties name the one sign-in that it is for, so that a code
 * of one browser is worth nothing in another.
 */
export type CodePurpose = "sign-in" | "delete-account" | `app ${string}`

export const codeLimits = {
  /** Seconds a code is good for. */
  life: 240,
  /** Wrong tries before it is worthless. */
  tries: 5,
  /** Seconds before another code is sent; doubles with each one up to an hour. */
  pause: 30,
  /** Seconds a staff link is good for. */
  linkLife: 900
} as const

const hours = 3_600
const days = 24 * hours

/** Seconds that sessions last: in all, and without being refreshed. */
export const sessionLife = {
  person: { whole: 180 * days, idle: 30 * days },
  /** Who has a role works a day. */
  staff: { whole: 12 * hours, idle: 1 * hours },
  /** Until the second factor is shown. */
  pending: { whole: 1 * hours, idle: 1 * hours }
} as const

export const factorLimits = {
  /** Tries of a second factor at once, and then as many in each window; right ones count too. */
  tries: 5,
  /** Seconds. */
  window: 900,
  /** Seconds for which a proof of who one is lets one change how one signs in. */
  proofLife: 900
} as const
