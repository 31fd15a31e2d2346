/**
 * When people came on devices that they had not used before: whoever takes an account over comes on one. A city whose people sign in
 * elsewhere knows of none.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { TenantTx } from "./db/Database.ts"

/** Hours after its first use for which a device is new, unless the tenant's settings say otherwise. */
export const newDeviceHours = 72

export class NewDevices extends Context.Reference<{
  /** The last moment within the span at which the person came on another device for the first time. Their very first device is no news. */
  readonly latest: (
    principalId: string,
    span: { readonly from: Date; readonly to: Date }
  ) => Effect.Effect<Date | undefined, unknown, TenantTx>
}>("@mahalla/kernel/NewDevices", { defaultValue: () => ({ latest: () => Effect.succeed(undefined) }) }) {}
