/** Settings of SMS by Eskiz (Uzbekistan). */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { address, common, secret } from "../http/config.ts"

export const SmsEskizConfig = Schema.Struct({
  /** Account of the city at Eskiz. */
  email: Schema.NonEmptyString,
  password: secret("password"),
  /** Whom the messages are from: `4546`, or a name that operators have registered. */
  from: Schema.String.check(Schema.isPattern(/^[\x20-\x7e]{1,11}$/)).pipe(
    Schema.withDecodingDefault(Effect.succeed("4546"))
  ),
  url: address("https://notify.eskiz.uz"),
  ...common
})

export type SmsEskizConfig = typeof SmsEskizConfig.Type
