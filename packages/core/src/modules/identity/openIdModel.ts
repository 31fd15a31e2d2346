/** Outside OpenID providers: what a city says of one, and the limits of a sign-in through it. */
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"

export const openIdLimits = {
  /** Seconds in which the browser must have come back. */
  attemptLife: 600,
  /** Seconds in which the app must have exchanged its ticket; providers' codes live about as long. */
  ticketLife: 60,
  /** Days in which whoever was invited must have signed in. */
  invitationDays: 14,
  /** Seconds for which a look of the provider's at the person counts as fresh. */
  freshness: 300,
  /** Seconds that each answer of a provider may take. */
  answer: 10
} as const

/** The provider does not answer, or not as one: nobody's fault who signs in. */
export class OpenIdUnavailable extends Data.TaggedError("OpenIdUnavailable")<{
  readonly message: string
  readonly cause?: unknown
}> {}

export const ProviderId = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,39}$/)).annotate({
  identifier: "OpenIdProviderId",
  description: "As it stands in addresses: lower case letters, digits and hyphens"
})

const Text = (most: number) => Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(most))
const some = (most: number) => [Schema.isMinLength(1), Schema.isMaxLength(most), Schema.isUnique()] as const

export const Admitted = Schema.Literals(["citizens", "staff"])
export type Admitted = typeof Admitted.Type

/** What the claims of whoever signs in must say; all of it. */
const Requires = Schema.Struct({
  /** The part after the @ of an address that the provider has verified is one of these. */
  emailDomains: Schema.optionalKey(
    Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/))).check(...some(20))
  ),
  /** Each claim has, or holds, one of the values. */
  claims: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.Array(Text(200)).check(...some(50))).check(Schema.isMaxProperties(10))
  )
})

/** Values by which the provider says that it has asked for a second factor; one of them is enough. */
const SecondFactorClaims = Schema.Struct({
  acr: Schema.optionalKey(Schema.Array(Text(200)).check(...some(10))),
  amr: Schema.optionalKey(Schema.Array(Text(60)).check(...some(10)))
}).check(
  Schema.makeFilter(
    ({ acr, amr }: { readonly acr?: unknown; readonly amr?: unknown }) =>
      acr !== undefined || amr !== undefined || "Name values of acr or amr."
  )
)

/** What staff says of a provider, but for its secret. */
export const providerFields = {
  /** By language, as people read it on the button. */
  title: Schema.Record(Schema.String.check(Schema.isPattern(/^[a-z]{2,3}$/)), Text(60)).check(
    Schema.isMinProperties(1)
  ),
  /** As the provider's discovery document names it. It cannot be changed: identities belong to it. */
  issuer: Text(400),
  clientId: Text(400),
  /** `openid` and what else is asked for, as `profile` and `email`. */
  scopes: Schema.Array(Schema.String.check(Schema.isPattern(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/)))
    .check(...some(20))
    .check(
      Schema.makeFilter((scopes: ReadonlyArray<string>) => scopes.includes("openid") || "openid must be among them.")
    ),
  admits: Schema.Array(Admitted).check(...some(2)),
  requires: Requires,
  /** Null: what the provider says of second factors counts for nothing. */
  secondFactor: Schema.NullOr(SecondFactorClaims),
  /** Addresses of apps to which people are sent back, compared letter by letter. The city's own page needs no entry. */
  redirectUris: Schema.Array(Text(1_000)).check(Schema.isMaxLength(20), Schema.isUnique()),
  active: Schema.Boolean
}

const Fields = Schema.Struct(providerFields)

export interface Provider extends Schema.Schema.Type<typeof Fields> {
  readonly id: string
}

/** Whom the provider says it has seen. */
export interface OutsideIdentity {
  readonly issuer: string
  readonly subject: string
  /** Only one that the provider has verified; lower case. */
  readonly email: string | undefined
  readonly name: string | undefined
  /** Whether it shows a second factor in the way that the city accepts. */
  readonly secondFactor: boolean
  /** When the person showed there who they are; undefined when the provider does not say. */
  readonly at: Date | undefined
  /** For what the city requires. */
  readonly claims: Readonly<Record<string, unknown>>
}
