import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as TestClock from "effect/testing/TestClock"
import { checkedBody, checkJson } from "./body.ts"

/** A sender that says how much there is and then sends half of it. */
const stalled = () =>
  HttpServerRequest.fromWeb(
    new Request("http://city.example/v1/cases", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('{"data":')) }),
      duplex: "half"
    } as RequestInit)
  )

it.effect("case_27_slow_body_gives_its_place_back_after_thirty_seconds", () =>
  Effect.gen(function* () {
    const reading = yield* Effect.forkChild(checkedBody(stalled(), 1_048_576), { startImmediately: true })
    yield* TestClock.adjust("29 seconds")
    assert.isUndefined(reading.pollUnsafe())
    yield* TestClock.adjust("1 second")
    const answer = yield* Fiber.join(reading)
    assert.deepInclude(answer, { status: 408, headers: { connection: "close" } })
  })
)

const pointerOf = (text: string) => {
  const checked = checkJson(new TextEncoder().encode(text))
  return "status" in checked
    ? [checked.status, (checked.body as { errors?: ReadonlyArray<{ pointer: string }> }).errors?.[0]?.pointer]
    : checked.value
}

it("refuses_a_name_that_stands_twice_in_one_object_and_says_where", () => {
  for (const [text, pointer] of [
    ['{"a":1,"a":2}', "/a"],
    ['{"data":{"offence":"x","offence":"y"}}', "/data/offence"],
    ['{"list":[{"a":1},{"b":[{"c":1,"c":{}}]}]}', "/list/1/b/0/c"],
    // The same name, written in two ways.
    ['{"role":"citizen","r\\u006fle":"admin"}', "/role"],
    ['{"a/b~":1,"a/b~":2}', "/a~1b~0"],
    ['{"__proto__":1,"__proto__":2}', "/__proto__"],
    ['{"":{"":1,"" : 2}}', "//"],
    ['[{"0":1},[{"x":":","x":","}]]', "/1/0/x"]
  ] as const)
    assert.deepEqual(pointerOf(text), [400, pointer], text)
})

it("takes_bodies_whose_names_only_look_alike", () => {
  for (const value of [
    { a: { a: { a: 1 } }, b: [{ a: 1 }, { a: 2 }] },
    { "a:b": ':"{', c: "\\", d: '\\"', e: "{,}[:]" },
    [1, ":", null, true, {}, [], { ":": ":" }],
    JSON.parse('{"__proto__":{"a":1},"constructor":{"prototype":{}}}') as unknown,
    "a: b",
    7
  ])
    assert.deepEqual(pointerOf(JSON.stringify(value, null, 2)), value)
})
