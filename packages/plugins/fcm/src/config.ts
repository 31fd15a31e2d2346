/** Settings of Firebase Cloud Messaging. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const address = (fallback: string) =>
  Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s?#]+$/)).pipe(
    Schema.withDecodingDefault(Effect.succeed(fallback))
  )

export const FcmConfig = Schema.Struct({
  /** `project_id`, `client_email` and `private_key` of the service account's file. */
  projectId: Schema.String.check(Schema.isPattern(/^[\w.:-]{1,100}$/)),
  clientEmail: Schema.NonEmptyString,
  privateKey: Schema.RedactedFromValue(Schema.NonEmptyString, { label: "privateKey" }),
  /** Where access tokens come from. */
  tokenUrl: address("https://oauth2.googleapis.com/token"),
  url: address("https://fcm.googleapis.com")
})

export type FcmConfig = typeof FcmConfig.Type
