/** Settings of Web Push. */
import * as Schema from "effect/Schema"

const base64url = (length: number) => Schema.String.check(Schema.isPattern(new RegExp(`^[\\w-]{${length}}=?$`)))

export const WebPushConfig = Schema.Struct({
  /** Whom a push service asks when something is wrong with our messages: `mailto:city@example.org` or an https address. */
  contact: Schema.String.check(Schema.isPattern(/^(mailto:[^\s@]+@[^\s@]+|https:\/\/\S+)$/)),
  /** The city's VAPID keys, as `npx web-push generate-vapid-keys` makes them. Browsers subscribe with the public one: another pair later means that everybody subscribes anew. */
  publicKey: base64url(87),
  privateKey: Schema.RedactedFromValue(base64url(43), { label: "privateKey" })
})

export type WebPushConfig = typeof WebPushConfig.Type
