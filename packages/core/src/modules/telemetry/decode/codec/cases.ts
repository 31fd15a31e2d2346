/** A codec's own test cases, stored with it and run when it is uploaded. */
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import type { Codec, CodecCall, CodecFailure } from "./model.ts"
import type { CodecSandbox } from "./sandbox.ts"

export interface CodecCase {
  readonly name: string
  readonly call: CodecCall
  /** Fields that the answer must have, and their values: `{data}`, `{bytes, fPort}`. JSON. */
  readonly expected: Readonly<Record<string, unknown>>
}

export interface CodecCaseResult {
  readonly name: string
  readonly passed: boolean
  /** What came instead: the answer or the failure's message. */
  readonly got: unknown
}

const call = (sandbox: CodecSandbox["Service"], codec: Codec, { function: name, input }: CodecCall) => {
  // An answer has no errors: with one it is a failure.
  const asJson = (answer: object) =>
    JSON.parse(JSON.stringify({ ...answer, errors: [] })) as Readonly<Record<string, unknown>>
  return name === "encodeDownlink"
    ? Effect.map(sandbox.encodeDownlink(codec, input), (answer) => asJson({ ...answer, bytes: [...answer.bytes] }))
    : Effect.map(sandbox[name](codec, input), asJson)
}

/** One result for each case, in their order. */
export const runCodecCases = (
  sandbox: CodecSandbox["Service"],
  codec: Codec,
  cases: ReadonlyArray<CodecCase>
): Effect.Effect<ReadonlyArray<CodecCaseResult>> =>
  Effect.forEach(cases, (one) =>
    Effect.match(call(sandbox, codec, one.call), {
      onFailure: (failure: CodecFailure) => ({ name: one.name, passed: false, got: failure.message }),
      onSuccess: (got) => ({
        name: one.name,
        passed: Object.entries(one.expected).every(([field, value]) => isDeepStrictEqual(got[field], value)),
        got
      })
    })
  )
