/** Settings of SMS by SMPP 3.4. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const bounded = (minimum: number, maximum: number, fallback: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum })).pipe(Schema.withDecodingDefault(Effect.succeed(fallback)))
const ascii = (least: number, most: number) =>
  Schema.String.check(Schema.isPattern(new RegExp(`^[\\x21-\\x7e]{${least},${most}}$`)))

export const SmsSmppConfig = Schema.Struct({
  host: Schema.NonEmptyString,
  port: bounded(1, 65_535, 2_775),
  /** TLS from the first byte; certificates are checked. */
  tls: Schema.Boolean.pipe(Schema.withDecodingDefault(Effect.succeed(false))),
  /** File with the certificates that sign the centre's own. Default: those of Node.js. */
  authority: Schema.optionalKey(Schema.NonEmptyString),
  systemId: ascii(1, 15),
  password: Schema.RedactedFromValue(ascii(0, 64), { label: "password" }),
  systemType: ascii(0, 12).pipe(Schema.withDecodingDefault(Effect.succeed(""))),
  /** Whom the messages are from: a name of up to 11 characters, a short number, or a number as `+998712000000`. */
  from: Schema.String.check(Schema.isPattern(/^(\+[1-9]\d{6,14}|[\x20-\x7e]{1,11})$/)),
  /** Whether one connection sends and hears, or one each. */
  bind: Schema.Literals(["transceiver", "separate"]).pipe(
    Schema.withDecodingDefault(Effect.succeed("transceiver" as const))
  ),
  /** Messages that wait for the centre's answer at a time. */
  window: bounded(1, 10, 10),
  /** Seconds of silence after which the centre is asked whether it is there. */
  pulse: bounded(1, 300, 30),
  /** Seconds for an answer; a message without one is `unknown`. */
  patience: bounded(1, 60, 10),
  /** Messages whose repeats and receipts are known at least. */
  remember: bounded(100, 1_000_000, 50_000),
  /** Writes oʻ, gʻ and ʼ with the plain apostrophe: one message instead of up to three. */
  plainApostrophes: Schema.Boolean.pipe(Schema.withDecodingDefault(Effect.succeed(false)))
})

export type SmsSmppConfig = typeof SmsSmppConfig.Type
