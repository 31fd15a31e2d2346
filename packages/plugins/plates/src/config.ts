/** Settings of the plates plugin; the defaults suit a machine of two cores that also encodes video. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const positive = (byDefault: number) =>
  Schema.Int.check(Schema.isGreaterThan(0)).pipe(Schema.withDecodingDefault(Effect.succeed(byDefault)))

export const PlatesConfig = Schema.Struct({
  /** Countries whose formats are tried first where a request names none, ISO 3166-1 alpha-2. Default UZ, GE. */
  countries: Schema.Array(Schema.String.check(Schema.isPattern(/^[A-Z]{2}$/))).pipe(
    Schema.withDecodingDefault(Effect.succeed(["UZ", "GE"]))
  ),
  /** Milliseconds for one request, waiting included, where it names none. Default 60,000. */
  timeout: positive(60_000),
  /** Pixels of one picture, width × height. Default 120 million: a 108-megapixel phone passes. */
  maxPixels: positive(120_000_000),
  /** Bytes of one picture. Default 64 MiB. */
  maxBytes: positive(64 * 1024 * 1024),
  /** Milliseconds after which a reader with nothing to do is ended and its memory given back. Default 15,000. */
  idle: positive(15_000)
})
export type PlatesConfig = typeof PlatesConfig.Type
