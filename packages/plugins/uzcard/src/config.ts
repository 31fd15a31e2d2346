/** Settings of the card rail. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Number = Schema.String.check(Schema.isPattern(/^\d{1,20}$/))

export const UzcardConfig = Schema.Struct({
  /**
   * Where the processing centre's gateway is: `https://svgate.example/api/jsonrpc`. Plain `http` in `dev` only. An address inside, as behind a
   * tunnel, must stand in the city's `outwardNetworks`.
   */
  url: Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s?#@]+$/)),
  user: Schema.String.check(Schema.isPattern(/^[^\s:]{1,100}$/)),
  password: Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(8), Schema.isMaxLength(512)), {
    label: "password"
  }),
  /** Who pays and from which terminal, by the contract. */
  merchantId: Number,
  terminalId: Number,
  /** Who the money is from, as it stands in the payee's statement. */
  sender: Schema.String.check(Schema.isPattern(/^[^\u0000-\u001f\u007f]{1,100}$/)),
  /** What a credit costs us by the contract, in hundredths of a percent of the amount, rounded up to a tiyin. */
  fee: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(0))
  ),
  /** Milliseconds after which an answer counts as lost. */
  timeout: Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 120_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(30_000))
  ),
  /** The largest credit, in tiyin. */
  limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000_000_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(500_000_000))
  )
})

export type UzcardConfig = typeof UzcardConfig.Type
