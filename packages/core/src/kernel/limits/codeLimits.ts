/**
 * How many one-time codes are sent, to which numbers and for how much money. The deployment's defaults, changed per tenant by `codes` in the
 * tenant's settings.
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 }))

export const CodeLimits = Schema.Struct({
  /** Countries (ISO 3166-1 alpha-2) to whose numbers codes are sent. Default: the tenant's own alone. */
  countries: Schema.Array(Schema.String.check(Schema.isPattern(/^[A-Z]{2}$/))).check(Schema.isMinLength(1)),
  /** From one IPv4 address or IPv6 /64 in ten minutes. */
  perAddress: Count,
  /** From one IPv6 /48 in ten minutes. */
  perNetwork: Count,
  /** From one device in an hour. */
  perDevice: Count,
  /** To one number in an hour, and in a day. */
  perPhone: Count,
  perPhoneDay: Count,
  /** To the ten thousand numbers that share all but the last four digits, in an hour. */
  perPrefix: Count,
  /** To one country in an hour. */
  perCountry: Count,
  /** To all in an hour. */
  perTenant: Count,
  /** What one message costs, in minor units of the tenant's currency. */
  price: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 })),
  /** Minor units for all messages of one day in the tenant's time zone. While `price` is 1 it counts messages. */
  moneyPerDay: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  /** A prefix is paused when of so many codes sent within an hour less than this share was used. */
  watchFrom: Count,
  leastUsed: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  /** Seconds that a prefix is paused. */
  pause: Count
})
export type CodeLimits = typeof CodeLimits.Type

const defaults: Omit<CodeLimits, "countries"> = {
  perAddress: 20,
  perNetwork: 60,
  perDevice: 10,
  perPhone: 5,
  perPhoneDay: 10,
  perPrefix: 60,
  perCountry: 2_000,
  perTenant: 5_000,
  price: 1,
  moneyPerDay: 20_000,
  watchFrom: 20,
  leastUsed: 0.2,
  pause: 3_600
}

/** What a tenant changes of them. */
export const CodeOverrides = CodeLimits.mapFields(Struct.map(Schema.optionalKey))

export const codeLimitsOf = (settings: {
  readonly country: string
  readonly codes?: typeof CodeOverrides.Type
}): CodeLimits => ({ ...defaults, countries: [settings.country], ...settings.codes })
