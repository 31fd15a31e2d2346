import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as TestClock from "effect/testing/TestClock"
import { checkedBody } from "./body.ts"

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
    const reading = yield* Effect.forkChild(checkedBody(stalled()), { startImmediately: true })
    yield* TestClock.adjust("29 seconds")
    assert.isUndefined(reading.pollUnsafe())
    yield* TestClock.adjust("1 second")
    const answer = yield* Fiber.join(reading)
    assert.deepInclude(answer, { status: 408, headers: { connection: "close" } })
  })
)
