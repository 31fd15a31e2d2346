/** Settings of the phone-credit rail. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Secret = (label: string) =>
  Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(16), Schema.isMaxLength(512)), { label })

export const KashConfig = Schema.Struct({
  /**
   * Where the gateway is: `https://kash.example/api`. Plain `http` in `dev` only, and only into a network that stands in the city's
   * `outwardNetworks`.
   */
  url: Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s?#]+$/)),
  /** The bearer key that the partner has given us. */
  key: Secret("key"),
  /** What the partner signs its callbacks with. Without it none is listened to, and `status` alone tells what became of a payment. */
  callbackSecret: Schema.optionalKey(Secret("callbackSecret")),
  /** Milliseconds after which an answer counts as lost. */
  timeout: Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 120_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(15_000))
  ),
  /** The largest top-up, in tiyin. */
  limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000_000_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(100_000_000))
  )
})

export type KashConfig = typeof KashConfig.Type
