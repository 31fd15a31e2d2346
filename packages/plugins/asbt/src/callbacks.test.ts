import { Authority } from "@mahalla/core/plugin"
import { fakeCallbacks } from "@mahalla/core/testing"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { describe, expect, it } from "vitest"
import { asbt } from "./index.ts"
import { signCallback, signed, tolerance } from "./signing.ts"
import { admin, openCallbacks, provided, secret, start, stop, temporary } from "./test/simulator.ts"
import { filing } from "./test/filing.ts"

const plugin = asbt({ url: "https://asbt.example", secret })
const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const at = 1_795_000_000

/** A callback as the authority makes it, or almost. */
const callback = (
  number: string,
  { body = JSON.stringify({ number, event: "decided" }), key = secret, timestamp = at } = {}
) => ({
  body: bytes(body),
  headers: {
    [signed.timestamp]: String(timestamp),
    [signed.signature]: signCallback(key, String(timestamp), body)
  }
})

/** What the engine hears of some callbacks, with their answers. */
const heardOf = (calls: ReadonlyArray<ReturnType<typeof callback>>, last: string) =>
  Effect.runPromise(
    Effect.gen(function* () {
      yield* TestClock.setTime(at * 1_000)
      const callbacks = fakeCallbacks()
      return yield* Effect.gen(function* () {
        const { notices } = yield* Authority
        const heard = yield* Effect.forkChild(
          Stream.runCollect(Stream.takeUntil(notices!, (number) => number === last)),
          { startImmediately: true }
        )
        yield* Effect.yieldNow
        const answers = yield* Effect.forEach(calls, (call) => callbacks.call(call))
        yield* callbacks.call(callback(last))
        return { answers: answers.map(({ status }) => status), heard: [...(yield* Fiber.join(heard))] }
      }).pipe(Effect.provide(provided(plugin, { callbacks })))
    }).pipe(Effect.provide(TestClock.layer()))
  )

describe("a callback", () => {
  it("that_is_signed_is_a_hint_and_no_more", async () => {
    const [one, last] = [randomUUID(), randomUUID()]
    const { answers, heard } = await heardOf([callback(one)], last)
    expect(answers).toEqual([204])
    expect(heard).toEqual([one, last])
  })

  it("that_is_forged_unsigned_changed_or_of_another_moment_is_refused", async () => {
    const [number, last] = [randomUUID(), randomUUID()]
    const good = callback(number)
    const changed = callback(randomUUID())
    const { answers, heard } = await heardOf(
      [
        callback(number, { key: "another secret that nobody has given us" }),
        { ...good, headers: {} as typeof good.headers },
        { ...good, body: changed.body },
        { ...good, headers: { ...good.headers, [signed.timestamp]: String(at + 1) } },
        callback(number, { timestamp: at - tolerance - 1 }),
        callback(number, { timestamp: at + tolerance + 1 })
      ],
      last
    )
    expect(answers).toEqual([401, 401, 401, 401, 401, 401])
    expect(heard).toEqual([last])
  })

  it("that_is_replayed_is_heeded_once", async () => {
    const [number, last] = [randomUUID(), randomUUID()]
    const { answers, heard } = await heardOf([callback(number), callback(number), callback(number)], last)
    expect(answers).toEqual([204, 204, 204])
    expect(heard).toEqual([number, last])
  })

  it("that_names_nothing_of_ours_is_thanked_and_not_heeded", async () => {
    const last = randomUUID()
    const { answers, heard } = await heardOf(
      [
        callback("", { body: "not json" }),
        callback("", { body: JSON.stringify({ number: "1; drop table", event: "decided" }) }),
        callback("", { body: JSON.stringify({ event: "decided" }) })
      ],
      last
    )
    expect(answers).toEqual([204, 204, 204])
    expect(heard).toEqual([last])
  })
})

describe("the sandbox calls back", () => {
  it("under_every_fault_and_nothing_but_a_status_says_what_was_decided", async () => {
    const simulator = await start(join(temporary(), "filings.ndjson"), "--seed", "5")
    const callbacks = await openCallbacks()
    const faults = ["callback-duplicate", "callback-replayed", "callback-forged", "callback-reordered", "callback-lost"]
    try {
      const asked = faults.map(() => filing())
      const seen = await Effect.runPromise(
        Effect.gen(function* () {
          const { file, notices, status } = yield* Authority
          const heard: Array<string> = []
          yield* Effect.forkChild(
            Stream.runForEach(notices!, (number) => Effect.sync(() => void heard.push(number))),
            { startImmediately: true }
          )
          for (const [place, one] of asked.entries()) {
            yield* file(one)
            yield* Effect.promise(() => admin(simulator.url, "faults", { next: [faults[place]] }))
            yield* Effect.promise(() => admin(simulator.url, "decisions", { number: one.number }))
          }
          // The one behind the others comes two seconds later.
          yield* Effect.sleep(3_000)
          const states = yield* Effect.forEach(asked, ({ number }) => status(number))
          return { heard, states: states.map(({ state }) => state) }
        }).pipe(Effect.provide(provided(asbt({ url: simulator.url, secret }), { callbacks })))
      )
      const of = (place: number) => seen.heard.filter((number) => number === asked[place]!.number).length
      expect(faults.map((fault, place) => [fault, of(place)])).toEqual([
        ["callback-duplicate", expect.toSatisfy((times: number) => times >= 1)],
        ["callback-replayed", 1],
        ["callback-forged", 0],
        ["callback-reordered", 1],
        ["callback-lost", 0]
      ])
      expect(seen.states).toEqual(faults.map(() => "decided"))
      const answers = (await admin(simulator.url, "callbacks")) as ReadonlyArray<{ number: string; status: number }>
      expect(answers.filter(({ number }) => number === asked[2]!.number).map(({ status }) => status)).toEqual([401])
    } finally {
      callbacks.server.close()
      await stop(simulator)
    }
  })
})
