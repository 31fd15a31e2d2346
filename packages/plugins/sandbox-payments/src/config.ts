/**
 * Configuration of the payment sandbox.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { faultNames, type FaultName } from "./simulator/faults.ts"

const Rate = Schema.optionalKey(Schema.Number.check(Schema.isBetween({ minimum: 0, maximum: 1 })))
const rates = Object.fromEntries(faultNames.map((name) => [name, Rate])) as Record<FaultName, typeof Rate>

export const SandboxConfig = Schema.Struct({
  /** A simulator that somebody else runs: `http://127.0.0.1:7300`. Without it the plugin runs its own. */
  url: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s]+$/))),
  /** ISO 4217. */
  currency: Schema.String.check(Schema.isPattern(/^[A-Z]{3}$/)).pipe(Schema.withDecodingDefault(Effect.succeed("UZS"))),
  /** Milliseconds after which an answer counts as lost. */
  timeout: Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 120_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(5_000))
  ),
  /** The largest amount of one payment, in minor units. */
  limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })).pipe(
    Schema.withDecodingDefault(Effect.succeed(1_000_000_000))
  ),
  /** Makes the schedule of faults another one. */
  seed: Schema.optionalKey(Schema.Int),
  /** How often each fault happens, 0–1. */
  faults: Schema.optionalKey(Schema.Struct(rates))
})

export type SandboxConfig = typeof SandboxConfig.Type
