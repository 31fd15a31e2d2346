/**
 * Configuration of the plugin: the authority itself, or its sandbox.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { faultNames, type FaultName } from "./simulator/faults.ts"

const Rate = Schema.optionalKey(Schema.Number.check(Schema.isBetween({ minimum: 0, maximum: 1 })))
const rates = Object.fromEntries(faultNames.map((name) => [name, Rate])) as Record<FaultName, typeof Rate>
const Secret = Schema.String.check(Schema.isMinLength(32))

export const AsbtConfig = Schema.Struct({
  /** Where it is: `https://asbt.example`. Without it the plugin runs a sandbox of its own, which fines nobody; not in production. */
  url: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s]+$/))),
  /** Our name there. */
  client: Schema.String.check(Schema.isPattern(/^[\w.-]{1,100}$/)).pipe(
    Schema.withDecodingDefault(Effect.succeed("mahalla"))
  ),
  /** What both sides sign with: at least 32 characters. Needed with `url`. */
  secret: Schema.optionalKey(Schema.RedactedFromValue(Secret)),
  /** Milliseconds after which an answer counts as lost. */
  timeout: Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 15_000 })).pipe(
    Schema.withDecodingDefault(Effect.succeed(10_000))
  ),
  /** Of the plugin's own sandbox. */
  sandbox: Schema.Struct({
    /** Milliseconds after which it decides by itself; 0: never. */
    decide: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 86_400_000 })).pipe(
      Schema.withDecodingDefault(Effect.succeed(4_000))
    ),
    /** Makes the schedule of faults another one. */
    seed: Schema.Int.pipe(Schema.withDecodingDefault(Effect.succeed(1))),
    /** How often each fault happens, 0–1. */
    faults: Schema.optionalKey(Schema.Struct(rates))
  }).pipe(Schema.withDecodingDefault(Effect.succeed({})))
})

export type AsbtConfig = typeof AsbtConfig.Type
