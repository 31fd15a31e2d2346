/**
 * Configuration of the identity sandbox.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { faultNames, type FaultName } from "./simulator/faults.ts"

const Rate = Schema.optionalKey(Schema.Number.check(Schema.isBetween({ minimum: 0, maximum: 1 })))
const rates = Object.fromEntries(faultNames.map((name) => [name, Rate])) as Record<FaultName, typeof Rate>

export const SandboxConfig = Schema.Struct({
  /**
   * A simulator that somebody else runs: `http://127.0.0.1:7400`. Its network must stand in the city's `outwardNetworks`. Without it the
   * plugin runs its own.
   */
  url: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s]+$/))),
  /** Milliseconds after which an answer counts as lost. */
  timeout: Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 30_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(5_000))
  ),
  /** Makes the schedule of faults of the plugin's own simulator another one. */
  seed: Schema.Int.pipe(Schema.withDecodingDefault(Effect.succeed(1))),
  /** How often each fault happens at the plugin's own simulator, 0–1. */
  faults: Schema.optionalKey(Schema.Struct(rates))
})

export type SandboxConfig = typeof SandboxConfig.Type
