/** Municipalities and societies: their settings and their tree of areas. */
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import { UploadOverrides } from "../attachments/limits.ts"
import { CodeOverrides } from "../limits/codeLimits.ts"

const LocalDate = Schema.String.check(
  Schema.isPattern(/^\d{4}-\d{2}-\d{2}$/),
  Schema.makeFilter((text: string) => !Number.isNaN(Date.parse(text)) || "There is no such day.")
)

/** When the offices work: deadlines in working time count only these hours. */
export const WorkingCalendar = Schema.Struct({
  /** ISO weekdays, 1 is Monday. */
  days: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 }))).check(
    Schema.isMinLength(1),
    Schema.isUnique()
  ),
  /** Local time `HH:MM`. */
  from: Schema.String.check(Schema.isPattern(/^([01]\d|2[0-3]):[0-5]\d$/)),
  /** Local time `HH:MM`, `24:00` at most. */
  to: Schema.String.check(Schema.isPattern(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/)),
  /** Local dates `YYYY-MM-DD`. */
  holidays: Schema.Array(LocalDate)
}).check(
  Schema.makeFilter(
    ({ from, to }: { readonly from: string; readonly to: string }) =>
      from < to || { path: ["to"], issue: "The hours must end after they begin, on the same day." }
  )
)
export type WorkingCalendar = typeof WorkingCalendar.Type

const TimeZone = Schema.String.check(
  Schema.makeFilter(
    (name: string) =>
      (/^[A-Z]/.test(name) && DateTime.zoneMakeNamed(name)._tag === "Some") ||
      "This is not a time zone of the IANA database, as Asia/Tashkent."
  )
)

/** `HH:MM`. */
const LocalTime = Schema.String.check(Schema.isPattern(/^([01]\d|2[0-3]):[0-5]\d$/))

const Origin = Schema.String.check(
  Schema.makeFilter(
    (text: string) =>
      text === "*" ||
      (URL.canParse(text) && new URL(text).origin === text) ||
      "Give an origin: scheme, host and port without a path, as https://app.example."
  )
)

/** As text: sums outgrow the numbers of some languages. */
const MinorUnits = Schema.String.check(Schema.isPattern(/^(?:0|[1-9]\d{0,14})$/))

const Hours = { from: LocalTime, until: LocalTime }

export const NotificationSettings = Schema.Struct({
  /** Local times between which nobody is called who has chosen none of their own; at weekends others, where they are given. Default: none. */
  quietHours: Schema.optionalKey(Schema.Struct({ ...Hours, weekend: Schema.optionalKey(Schema.Struct(Hours)) })),
  /** Kinds of channel in the order of choice. Default: sms, else outbox. */
  channels: Schema.optionalKey(
    Schema.Array(Schema.Literals(["sms", "email", "push", "telegram", "outbox"])).check(
      Schema.isMinLength(1),
      Schema.isUnique()
    )
  ),
  /** Messages to one person in a day that are not urgent; further ones are not sent. Default 50. */
  perDay: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 }))),
  /** What messages of a day may cost, in minor units of the currency; what is not urgent then waits for the next day. Default: no limit. */
  budgetPerDay: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000_000 }))),
  /** Recipients above which a broadcast waits until a second member of staff has agreed. Default: never. */
  approveAbove: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))),
  /** Where an app shows a case, with `{type}` and `{id}` in it. Default: messages lead nowhere. */
  caseLink: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^https:\/\/\S{1,500}$/)))
})
export type NotificationSettings = typeof NotificationSettings.Type

export const TenantSettings = Schema.Struct({
  /** IANA name, as `Asia/Tashkent`. */
  timeZone: TimeZone,
  /** BCP 47, the first is the default. */
  languages: Schema.Array(
    Schema.String.check(Schema.isPattern(/^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?$/))
  ).check(Schema.isMinLength(1), Schema.isUnique()),
  /** ISO 3166-1 alpha-2. */
  country: Schema.String.check(Schema.isPattern(/^[A-Z]{2}$/)),
  /** ISO 4217. */
  currency: Schema.String.check(Schema.isPattern(/^[A-Z]{3}$/)),
  calendar: WorkingCalendar,
  /** Origins that browsers may call the API from; `*` is any. */
  corsOrigins: Schema.Array(Origin),
  /** Changes to what may be uploaded, how large and how much. */
  uploads: Schema.optionalKey(UploadOverrides),
  /** Of whom a second factor is demanded. Default `staff`: everybody who has a role; in `dev` `nobody`. */
  secondFactor: Schema.optionalKey(Schema.Literals(["staff", "nobody"])),
  /** Changes to how many one-time codes are sent, to which numbers and for how much money. */
  codes: Schema.optionalKey(CodeOverrides),
  /** Whether an administrator lets each app of a third party in. Default: `required`. */
  apps: Schema.optionalKey(Schema.Struct({ approval: Schema.Literals(["required", "none"]) })),
  /** Payouts to one person in 24 hours; further ones wait, and staff is alerted. Default 50. */
  payoutsPerDay: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))),
  /** Limits of payouts, in minor units of the currency. */
  payouts: Schema.optionalKey(
    Schema.Struct({
      /** What is more than this is approved by somebody who has not decided it. Default: nothing is. */
      approveAbove: Schema.optionalKey(MinorUnits),
      /** Sent to one person in a day of the tenant's time zone; what is more waits. Default: no limit, as for the next two. */
      personDay: Schema.optionalKey(MinorUnits),
      /** Sent in a day, all in all. */
      day: Schema.optionalKey(MinorUnits),
      /** Sent in a day by rails, by their instance names. */
      rails: Schema.optionalKey(Schema.Record(Schema.String, MinorUnits)),
      /** Hours that a payout waits which goes elsewhere than the person's last one. Default 24. */
      coolingOffHours: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_760 })))
    })
  ),
  /** Hours after its first use for which a device is new: a payout that then goes elsewhere than before waits, and staff is alerted. Default 72. */
  newDeviceHours: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_760 }))),
  /** Minutes without its condition after which an alert that came and went too often is cleared; 0: at once. Default 15. */
  alertCalmMinutes: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_080 }))),
  /** How people are told of things. */
  notifications: Schema.optionalKey(NotificationSettings),
  /** Days that kinds of data are kept, instead of the defaults; null: for ever. GET /v1/retention names the kinds. */
  retention: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 36_500 }))))
  )
})
export type TenantSettings = typeof TenantSettings.Type

export interface Tenant {
  readonly tenantId: string
  /** In addresses: `/t/{slug}`. */
  readonly slug: string
  readonly name: string
  /** Host names that are this tenant's alone, lower case, without ports. */
  readonly hosts: ReadonlyArray<string>
  readonly settings: TenantSettings
  /** Its doors are closed. */
  readonly suspended?: boolean
}

export interface Territory {
  readonly id: string
  readonly parentId: string | null
  /** `city`, `district`, `mahalla` … */
  readonly kind: string
  /** By language. */
  readonly name: Readonly<Record<string, string>>
  /** Itself and its ancestors, the nearest first. */
  readonly path: ReadonlyArray<string>
}
