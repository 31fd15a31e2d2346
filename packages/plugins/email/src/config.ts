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
  fromName: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[^\u0000-\u001f\u007f]{1,100}$/))),
  /** Where mail comes back to. Default: to `from`, and nobody here hears of it. */
  bounces: Schema.optionalKey(
    Schema.Struct({
      /** Of the return paths, as `bounces.example.org`: its MX leads to this plugin. Not the domain of people's mail. */
      domain: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$/)),
      /** Default `0.0.0.0`. */
      host: Schema.optionalKey(Schema.NonEmptyString),
      /** Default 25; 0 takes any free one. */
      port: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 })))
    })
  )
})

export type EmailConfig = typeof EmailConfig.Type
