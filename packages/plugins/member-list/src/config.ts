/**
 * Configuration of a list of members.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export const MemberListConfig = Schema.Struct({
  /** What people call the society, by language. */
  title: Schema.Struct({
    en: Schema.NonEmptyString,
    uz: Schema.optionalKey(Schema.NonEmptyString),
    ru: Schema.optionalKey(Schema.NonEmptyString),
    ka: Schema.optionalKey(Schema.NonEmptyString)
  }),
  /** The list that `mahalla-member-list` has made. A newer one is read as soon as it is there. */
  file: Schema.NonEmptyString,
  /** The key that it was made with. */
  key: Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(32))),
  /** How much the society looked at when it took somebody in. */
  assurance: Schema.Literals(["low", "substantial"]).pipe(Schema.withDecodingDefault(Effect.succeed("low")))
})

export type MemberListConfig = typeof MemberListConfig.Type
