/** What the settings of providers by HTTP have in common. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export const bounded = (minimum: number, maximum: number, fallback: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum })).pipe(Schema.withDecodingDefault(Effect.succeed(fallback)))

export const address = (fallback: string) =>
  Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s/?#]+$/)).pipe(
    Schema.withDecodingDefault(Effect.succeed(fallback))
  )

export const secret = (label: string) => Schema.RedactedFromValue(Schema.NonEmptyString, { label })

export const common = {
  /** Seconds for an answer; a message without one is `unknown`. */
  patience: bounded(1, 60, 15),
  /** Messages whose repeats and receipts are known at least. */
  remember: bounded(100, 1_000_000, 50_000),
  /** Writes oʻ, gʻ and ʼ with the plain apostrophe: one message instead of up to three. */
  plainApostrophes: Schema.Boolean.pipe(Schema.withDecodingDefault(Effect.succeed(false)))
}
