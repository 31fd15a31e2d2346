import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { mask } from "../kernel/mask.ts"
import { layerLogging, type LogFormat } from "./logging.ts"

const token = `eyJ${"a".repeat(30)}.${"b".repeat(40)}.${"c_-".repeat(20)}`
const id = "01a1fb96-0a6f-7324-b14e-40eab5e1b19c"

describe("mask", () => {
  const cases: ReadonlyArray<readonly [given: string, expected: string]> = [
    ["+998901234567 called", "<…67> called"],
    ["to=%2B998901234567&x", "to=<…67>&x"],
    ["998 90 123-45-67", "<…67>"],
    ["(998) 90 123 45 67", "(<…67>"],
    [`Bearer ${token}`, "Bearer <token>"],
    [`Bearer mak_${"a".repeat(51)}`, "Bearer <token>"],
    [`/v1/cases?key=mak_${"4".repeat(51)}&x`, "/v1/cases?key=<token>&x"],
    [`{"refreshToken":"mrt_${"_-b".repeat(14)}"}`, '{"refreshToken":"<token>"}'],
    [`case ${id}`, `case ${id}`],
    [`/v1/cases/traffic-report/${id}?q=1`, `/v1/cases/traffic-report/${id}?q=1`],
    [`/v1/uploads/${id}.${"s".repeat(32)}`, `/v1/uploads/${id}.<secret>`],
    ["took 12345 ms, 200", "took 12345 ms, 200"],
    ["PINFL 31234567890123 is known", "PINFL <…23> is known"],
    ["482913 is your code for Samarkand", "<code> is your code for Samarkand"],
    ["Samarkand uchun kodingiz: 482913.", "Samarkand uchun kodingiz: <code>."],
    ["482913: ваш код для города", "<code>: ваш код для города"],
    ["exit code 70 after 120000 ms", "exit code 70 after 120000 ms"],
    ["/sign-in#q2mXx0Zr7sW8vK1dFhTgYbNcE4uJ5iLpOaQw-e_3RtU", "/sign-in#<token>"]
  ]
  for (const [given, expected] of cases) it(given.slice(0, 40), () => assert.strictEqual(mask(given), expected))
})

/** What arrives on standard error while an effect runs. */
const written = (format: LogFormat, effect: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const write = process.stderr.write.bind(process.stderr)
    process.stderr.write = ((chunk: string) => lines.push(chunk) > 0) as typeof process.stderr.write
    yield* effect.pipe(
      Effect.provide(layerLogging(format, "Info")),
      Effect.ensuring(Effect.sync(() => (process.stderr.write = write)))
    )
    return lines
  })

describe("logs", () => {
  const speaking = Effect.gen(function* () {
    yield* Effect.logInfo("Code for +998901234567").pipe(
      Effect.annotateLogs({ id, phone: "+998901234567", attempt: 3 })
    )
    yield* Effect.logError("Broken", Cause.fail(new Error(`Bearer ${token} was refused for +998901234567`)))
    yield* Effect.logDebug("not at this level")
  })

  it.live("are_one_line_of_JSON_each_with_nothing_of_a_person_in_them", () =>
    Effect.gen(function* () {
      const lines = yield* written("json", speaking)
      assert.strictEqual(lines.length, 2)
      const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
      assert.deepInclude(first, { level: "info", message: "Code for <…67>", id, phone: "<…67>", attempt: 3 })
      assert.match(String(first!["at"]), /^\d{4}-\d\d-\d\dT.*Z$/)
      assert.strictEqual(second!["level"], "error")
      assert.notInclude(lines.join(""), token)
      assert.notInclude(lines.join(""), "998901234567")
      assert.match(lines[1]!, /Bearer <token> was refused for <…67>/)
      for (const line of lines) assert.strictEqual(line.indexOf("\n"), line.length - 1)
    })
  )

  it.live("are_readable_for_a_developer_and_masked_too", () =>
    Effect.gen(function* () {
      const text = (yield* written("readable", speaking)).join("")
      assert.match(text, /INFO {2}Code for <…67>.*attempt=3/i)
      assert.notInclude(text, "998901234567")
      assert.notInclude(text, token)
      assert.deepStrictEqual(yield* written("silent", speaking), [])
    })
  )
})
