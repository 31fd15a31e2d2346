/** When a session may not act yet: somebody with a role in a city that demands a second factor of them, or who has one and has not shown it. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type { Principal } from "../policy/Principal.ts"
import type { TenantSettings } from "../tenancy/Tenant.ts"

/** `verify`: show the one you have. `enrol`: set one up first. */
export type SecondFactorStep = "verify" | "enrol"

/** The request needs a session in which a second factor was shown. */
export class SecondFactorRequired extends Data.TaggedError("SecondFactorRequired")<{
  readonly step: SecondFactorStep
  /** Whose doors; the city's when absent. */
  readonly of?: "platform"
}> {
  override get message() {
    if (this.of === "platform")
      return this.step === "verify"
        ? "Show your second factor first: POST /v1/platform/second-factor."
        : "Super-admins need a second factor. Set one up first: POST /v1/platform/factors/totp."
    return this.step === "verify"
      ? "Show your second factor first: POST /v1/auth/second-factor."
      : "Your role needs a second factor. Set one up first: POST /v1/me/factors/totp or a passkey at POST /v1/me/passkeys/options."
  }
}

/** Whether a city whose settings say nothing demands a second factor of its staff. False in `dev`. */
export const StaffNeedsSecondFactor = Context.Reference<boolean>("@mahalla/kernel/StaffNeedsSecondFactor", {
  defaultValue: () => true
})

/** Whoever may do more than a citizen. */
export const hasRole = (principal: Pick<Principal, "kind" | "grants">, now: number): boolean =>
  principal.kind === "staff" || principal.grants.some(({ until }) => until === null || until > now)

/** What a session still needs; undefined when it may act. */
export const missingStep = (
  state: "none" | "pending" | "passed",
  staff: boolean,
  settings: Pick<TenantSettings, "secondFactor">,
  byDefault: boolean
): SecondFactorStep | undefined => {
  if (state !== "none") return state === "pending" ? "verify" : undefined
  const demanded = settings.secondFactor === undefined ? byDefault : settings.secondFactor === "staff"
  return demanded && staff ? "enrol" : undefined
}

/** The doors through which a second factor is shown or set up, and the way out; everything else stays shut until then. */
const open: Readonly<Record<string, RegExp>> = {
  GET: /^\/v1\/me(\/factors|\/passkeys)?$/,
  POST: /^\/v1\/(auth\/[a-z/-]+|me\/factors\/totp(\/confirm)?|me\/passkeys(\/options)?)$/
}

/** `url`: path and query, as the router has it. */
export const isOpenWithout = (method: string, url: string): boolean =>
  open[method]?.test(url.split("?")[0] ?? "") ?? false
