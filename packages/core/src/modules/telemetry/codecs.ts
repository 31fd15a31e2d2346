/** Codecs of profiles before they are used: their own cases, and bytes that somebody wants to see decoded. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { type CodecCase, runCodecCases } from "./decode/codec/cases.ts"
import type { Codec } from "./decode/codec/model.ts"
import { CodecSandbox } from "./decode/codec/sandbox.ts"
import type { GivenUplink, ProfileDefinition } from "./profile.ts"

const uplinkOf = (input: GivenUplink, recvTime: number) => ({
  bytes: [...("hex" in input ? Buffer.from(input.hex, "hex") : Buffer.from(input.base64, "base64"))],
  fPort: input.fPort,
  recvTime
})

const short = (value: unknown) => (JSON.stringify(value) ?? "nothing").slice(0, 300)

/** Whoever may not store a codec does not run one either. */
const demandManager = Effect.flatMap(Actor, ({ tenantId }) =>
  withTenant(tenantId)(demandEverywhere("device-profile.manage"))
)

/**
 * Fails with `InvalidInput` and a pointer to each case of the profile's codec that does not come out as it says. Ask outside of a transaction: codecs
 * are given time.
 */
export const demandCases = Effect.fn("telemetry.demandCases")(function* ({ codec }: ProfileDefinition) {
  if (codec?.cases === undefined) return
  yield* demandManager
  const now = yield* Clock.currentTimeMillis
  const cases = codec.cases.map(({ expected, input, name }): CodecCase => ({
    name,
    call: { function: "decodeUplink", input: uplinkOf(input, now) },
    expected: { data: expected }
  }))
  const results = yield* runCodecCases(yield* CodecSandbox, codec, cases)
  const issues = results.flatMap(({ got, name, passed }, place) =>
    passed
      ? []
      : [
          {
            pointer: `/definition/codec/cases/${place}`,
            detail:
              typeof got === "string"
                ? `${name}: ${got}`
                : `${name}: the codec gave ${short((got as { readonly data?: unknown }).data)}, not ${short(cases[place]!.expected["data"])}.`
          }
        ]
  )
  if (issues.length > 0) return yield* new InvalidInput({ issues })
})

/** What a codec makes of bytes, or why it does not. Stores nothing; needs `device-profile.manage`. */
export const tryCodec = Effect.fn("telemetry.tryCodec")(function* (codec: Pick<Codec, "source">, input: GivenUplink) {
  yield* demandManager
  const sandbox = yield* CodecSandbox
  const call = uplinkOf(input, yield* Clock.currentTimeMillis)
  return yield* Effect.match(sandbox.decodeUplink({ version: "", ...codec }, call), {
    onSuccess: ({ data, warnings }) => ({ data, warnings }),
    onFailure: ({ message, reason }) => ({ failure: { reason, message }, warnings: [] })
  })
})
