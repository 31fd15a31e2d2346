import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { CodecFailure } from "./model.ts"
import { makeQuarantine } from "./quarantine.ts"

const tooSlow = new CodecFailure({ reason: "codec-too-slow", message: "decodeUplink took too long." })
const wrong = new CodecFailure({ reason: "codec-failed", message: "decodeUplink failed." })

/** Outcomes one after the other; says how often the codec was really asked. */
const play = Effect.fnUntraced(function* (
  { guard }: ReturnType<typeof makeQuarantine>,
  source: string,
  outcomes: ReadonlyArray<CodecFailure | "ok">
) {
  let asked = 0
  for (const outcome of outcomes) {
    const run = Effect.suspend(() => {
      asked++
      return outcome === "ok" ? Effect.void : Effect.fail(outcome)
    })
    yield* Effect.ignore(guard(source, run))
  }
  return asked
})

it.effect("a_codec_that_was_too_slow_three_times_is_left_alone_for_a_minute", () =>
  Effect.gen(function* () {
    const quarantine = makeQuarantine()
    assert.strictEqual(yield* play(quarantine, "a", [tooSlow, tooSlow, tooSlow, "ok", "ok"]), 3)
    assert.strictEqual(yield* play(quarantine, "b", ["ok"]), 1)
    yield* TestClock.adjust("59 seconds")
    assert.strictEqual(yield* play(quarantine, "a", ["ok"]), 0)
    yield* TestClock.adjust("1 second")
    assert.strictEqual(yield* play(quarantine, "a", ["ok", "ok"]), 2)
  })
)

it.effect("after_the_minute_one_more_slow_call_is_enough", () =>
  Effect.gen(function* () {
    const quarantine = makeQuarantine()
    yield* play(quarantine, "a", [tooSlow, tooSlow, tooSlow])
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* play(quarantine, "a", [tooSlow, "ok"]), 1)
  })
)

it.effect("anything_but_slowness_in_between_starts_the_count_again", () =>
  Effect.gen(function* () {
    const quarantine = makeQuarantine()
    assert.strictEqual(yield* play(quarantine, "a", [tooSlow, tooSlow, wrong, tooSlow, tooSlow, "ok", tooSlow]), 7)
  })
)

it.effect("one_that_held_others_up_three_times_is_left_alone_though_its_own_calls_went_well", () =>
  Effect.gen(function* () {
    const quarantine = makeQuarantine()
    for (let times = 0; times < 3; times++) {
      assert.strictEqual(yield* play(quarantine, "a", ["ok"]), 1)
      yield* quarantine.strike("a")
    }
    assert.strictEqual(yield* play(quarantine, "a", ["ok"]), 0)
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* play(quarantine, "a", ["ok"]), 1)
  })
)
