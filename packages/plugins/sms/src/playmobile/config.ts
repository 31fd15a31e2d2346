/** Settings of SMS by PlayMobile (Uzbekistan). */
import * as Schema from "effect/Schema"
import { address, common, secret } from "../http/config.ts"

export const SmsPlayMobileConfig = Schema.Struct({
  user: Schema.String.check(Schema.isPattern(/^[^:\u0000-\u001f]+$/)),
  password: secret("password"),
  /** Whom the messages are from: a short number or a name that operators have registered. */
  from: Schema.String.check(Schema.isPattern(/^[\x20-\x7e]{1,11}$/)),
  url: address("https://send.smsxabar.uz"),
  /** Secret end of the address that PlayMobile reports to: `https://city.example/v1/callbacks/<instance>/<token>`. Without it nothing is reported. */
  callbackToken: Schema.optionalKey(
    Schema.RedactedFromValue(Schema.String.check(Schema.isPattern(/^[\w-]{20,200}$/)), { label: "callbackToken" })
  ),
  ...common
})

export type SmsPlayMobileConfig = typeof SmsPlayMobileConfig.Type
