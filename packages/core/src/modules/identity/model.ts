/** Signing in: what happens, what can go wrong, and the limits. */
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"

/** E.164: a plus and 7–15 digits. */
export const Phone = Schema.String.check(Schema.isPattern(/^\+[1-9]\d{6,14}$/)).annotate({
  identifier: "Phone",
  description: "E.164, as +998901234567"
})

export const Registered = defineEvent({
  id: "identity.registered",
  payload: Schema.Struct({ principalId: Schema.String, phone: Schema.String }),
  personal: ["phone"]
})

export const SignedIn = defineEvent({
  id: "identity.signed-in",
  payload: Schema.Struct({ principalId: Schema.String, by: Schema.Literals(["code", "link"]) })
})

export const LinkIssued = defineEvent({
  id: "identity.link-issued",
  payload: Schema.Struct({ principalId: Schema.String })
})

/** The code or link is wrong, used, or too old; one text for all, so that nothing can be learned from it. */
export class SignInRefused extends Data.TaggedError("SignInRefused")<{ readonly message: string }> {}

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
