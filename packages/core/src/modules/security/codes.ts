/**
 * Before a one-time code is sent, and after one was used or a wrong one was given: layers of limits from the narrowest to the widest, countries,
 * prefixes that are paused, the day's money. What is refused says so, whoever asks, whether the number is known or not.
 */
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { blockOf, networkOf, senderOf } from "../../kernel/limits/address.ts"
import { type CodeLimits, codeLimitsOf } from "../../kernel/limits/codeLimits.ts"
import { askLimit, type Limit, takeFrom, TooManyRequests } from "../../kernel/limits/gcra.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"
import { raiseAlert } from "./alerts.ts"
import type { Alert } from "./model.ts"
import { countSent, countUsed, giveBack, judge, pausedFor, prefixOf, spend } from "./traffic.ts"

export interface CodeRequest {
  readonly tenant: Tenant
  /** The client's address; empty where there is none, as inside the process. */
  readonly ip: string
  /** E.164. */
  readonly phone: string
  /** What the client is recognised by, where it is. */
  readonly device?: string | undefined
  /**
   * Whether the phone's owner has signed in on that device before. Their codes are counted apart from what anybody may ask for, so that
   * strangers who use up every budget around a number keep nobody out of their own telephone. The day's money is one for all.
   */
  readonly known?: boolean
}

const minutes = (retryAfter: number) => Math.max(1, Math.ceil(retryAfter / 60))
const alertIn = (tenant: Tenant, alert: Alert) => withTenant(tenant.tenantId)(raiseAlert(alert))

const hashOf = (purpose: string, tenant: Tenant, text: string) =>
  Effect.map(Keys, (keys) => Buffer.from(keys.mac(purpose, `${tenant.tenantId} ${text}`)).toString("base64url"))

/** The number's country, when it is one that codes are sent to. */
const demandServed = Effect.fnUntraced(function* (phone: string, limits: CodeLimits) {
  // Its tables take a while to load; the start does not wait for them.
  const { parsePhoneNumberFromString } = yield* Effect.promise(() => import("libphonenumber-js/max"))
  const parsed = parsePhoneNumberFromString(phone)
  const dear = ["PREMIUM_RATE", "SHARED_COST", "PERSONAL_NUMBER", "PAGER", "UAN", "VOICEMAIL"]
  const country = parsed?.country
  if (country !== undefined && limits.countries.includes(country) && !dear.includes(parsed?.getType() ?? ""))
    return country
  return yield* new Refused({
    code: "number-not-served",
    message: `Codes are sent to ordinary numbers of ${limits.countries.join(", ")}. Use another number, or ask the city for another way to sign in.`
  })
})

/** Takes from a budget that many share; who asks for the first code too many alerts staff. */
const takeShared = Effect.fnUntraced(function* (tenant: Tenant, limit: Limit, whose: string) {
  yield* takeFrom(tenant.tenantId, { ...limit, quiet: true }).pipe(
    Effect.tapError((error) =>
      error instanceof TooManyRequests
        ? alertIn(tenant, {
            kind: "code-flood",
            originator: whose,
            summary: `More than ${limit.amount} codes were asked for ${whose} in ${limit.window / 3600} hour. Further ones are refused; see whether somebody earns by them.`
          })
        : Effect.void
    )
  )
})

const layers = Effect.fnUntraced(function* (asked: CodeRequest, limits: CodeLimits) {
  const { device, ip, known, phone, tenant } = asked
  const whose = known === true ? "-known" : ""
  const take = (limit: Limit) => takeFrom(tenant.tenantId, limit)
  const here = "Too many codes were asked for from here. Wait a few minutes."
  if (ip !== "") {
    yield* take({ key: `code:ip:${senderOf(ip)}`, amount: limits.perAddress, window: 600, message: here })
    if (ip.includes(":"))
      yield* take({ key: `code:network:${networkOf(ip)}`, amount: limits.perNetwork, window: 600, message: here })
  }
  if (device !== undefined) {
    const key = `code:device:${yield* hashOf("limit-device", tenant, device)}`
    yield* take({ key, amount: limits.perDevice, window: 3_600, message: here })
  }
  const country = yield* demandServed(phone, limits)
  const number = yield* hashOf("limit-phone", tenant, phone)
  const often = "Too many codes were sent to this number. Wait before you ask for another."
  yield* take({ key: `code:phone${whose}:${number}`, amount: limits.perPhone, window: 3_600, message: often })
  yield* take({ key: `code:phone-day${whose}:${number}`, amount: limits.perPhoneDay, window: 86_400, message: often })
  const busy =
    "Too many codes are asked for at the moment. Try again later, or ask the city for another way to sign in."
  const shared = (key: string, amount: number) => ({ key, amount, window: 3_600, message: busy })
  const prefix = prefixOf(phone)
  yield* takeShared(tenant, shared(`code:prefix${whose}:${prefix}`, limits.perPrefix), prefix)
  yield* takeShared(tenant, shared(`code:country${whose}:${country}`, limits.perCountry), country)
  yield* takeShared(tenant, shared(`code:tenant${whose}:all`, limits.perTenant), "the whole city")
})

/** One transaction: whether the prefix is paused, the day's money, the count of what is sent and what it says about the prefix. */
const book = Effect.fnUntraced(function* ({ known, phone, tenant }: CodeRequest, limits: CodeLimits) {
  const prefix = prefixOf(phone)
  const left = known === true ? 0 : yield* pausedFor(prefix)
  if (left > 0) return { state: "paused", left } as const
  const spent = yield* spend(limits, tenant.settings.timeZone)
  if (!spent.taken) {
    yield* raiseAlert({
      kind: "code-money",
      originator: "the whole city",
      summary: `The day's money for codes is spent: ${limits.moneyPerDay} minor units of ${tenant.settings.currency}. Nobody signs in by phone until midnight; raise moneyPerDay if this is no attack.`
    })
    return { state: "spent", left: spent.left } as const
  }
  yield* countSent(phone, 1)
  const bad = yield* judge(prefix, limits)
  if (bad !== undefined)
    yield* raiseAlert({
      kind: "prefix-paused",
      originator: prefix,
      summary: `Of ${bad.sent} codes to ${prefix}… within an hour ${bad.used} were used. Codes to it are paused for ${minutes(limits.pause)} minutes.`
    })
  return { state: "booked", day: spent.day } as const
})

/**
 * Makes a code behind all guards. Fails with `TooManyRequests`, or `Refused` for a number that is not served; with `LimiterError` while limits
 * cannot be counted. What was booked is taken back when the code was not made; nothing that can fail comes after it was.
 */
export const guardCode =
  (asked: CodeRequest) =>
  <A, E, R>(make: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const inside = withTenant(asked.tenant.tenantId)
      const limits = codeLimitsOf(asked.tenant.settings)
      yield* layers(asked, limits)
      const booked = yield* inside(book(asked, limits))
      if (booked.state !== "booked") {
        const retryAfter = Math.max(1, Math.ceil(booked.left / 1000))
        return yield* new TooManyRequests({
          message:
            booked.state === "paused"
              ? `Codes to numbers like this one are paused. Try again in ${minutes(retryAfter)} minutes, or ask the city for another way to sign in.`
              : "No more codes are sent today. Sign in another way, or try again tomorrow.",
          retryAfter
        })
      }
      const takeBack = Effect.andThen(giveBack(limits, booked.day), countSent(asked.phone, -1))
      return yield* Effect.onError(make, () => Effect.ignore(inside(takeBack)))
    })

/** After the right code was given: its prefix is one whose codes are used. A count that fails must not cost anybody their sign-in. */
export const codeUsed = ({ phone, tenant }: Pick<CodeRequest, "phone" | "tenant">) =>
  Effect.ignore(withTenant(tenant.tenantId)(countUsed(phone)))

/** Wrong codes in an hour after which staff is alerted: for one number, from one address block. */
const failuresBefore = { number: 10, block: 40 }

/** After a wrong code. Costs the same for known and unknown numbers, and refuses nothing: limits of their own do. */
export const signInFailed = Effect.fn("security.signInFailed")(function* (asked: CodeRequest) {
  const { ip, phone, tenant } = asked
  const note = Effect.fnUntraced(function* (key: string, amount: number, originator: string, whose: string) {
    const limit = { key, amount, window: 3_600, message: "", whenDown: "admit" } as const
    if ((yield* askLimit(tenant.tenantId, limit)).admitted) return
    yield* alertIn(tenant, {
      kind: "failed-sign-ins",
      originator,
      summary: `More than ${amount} wrong codes within an hour ${whose}.`
    })
  })
  const number = yield* hashOf("limit-phone", tenant, phone)
  yield* note(
    `failed:phone:${number}`,
    failuresBefore.number,
    `number ${number.slice(0, 16)}`,
    `for the number that ends in ${phone.slice(-2)}`
  )
  if (ip !== "") {
    const block = blockOf(ip)
    yield* note(`failed:block:${block}`, failuresBefore.block, block, "from one block of addresses")
  }
})
