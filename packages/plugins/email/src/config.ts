/** Settings of the e-mail plugin. */
import * as Schema from "effect/Schema"

export const EmailConfig = Schema.Struct({
  /** Name of the server that takes the city's mail. */
  host: Schema.NonEmptyString,
  /** Default 587; 465 speaks TLS from the first byte. */
  port: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))),
  /** `required` (default): no mail and no password without TLS. `none`: for a server on the same machine. */
  tls: Schema.optionalKey(Schema.Literals(["required", "none"])),
  user: Schema.optionalKey(Schema.NonEmptyString),
  password: Schema.optionalKey(Schema.RedactedFromValue(Schema.NonEmptyString, { label: "password" })),
  /** Whom the mail is from, as `city@example.org`. */
  from: Schema.String.check(Schema.isPattern(/^[^\s@<>,;:"()[\]\\]+@[A-Za-z0-9.-]+$/)),
  /** What stands before that address, as `City of Samarkand`. Default: nothing. */
  fromName: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[^\u0000-\u001f\u007f]{1,100}$/)))
})

export type EmailConfig = typeof EmailConfig.Type
