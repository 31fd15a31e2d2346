/** Devices that stay connected by MQTT while the list of devices changes, on a clock that the test moves. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { connectAsync } from "mqtt"
import { openEdge } from "./index.ts"

const listed = {
  same: "the-token-of-same",
  renamed: "the-token-of-renamed",
  changed: "the-token-of-changed",
  demoted: { token: "the-token-of-demoted", gateway: true },
  gone: "the-token-of-gone"
}

it.live("a_session_ends_within_a_minute_of_its_token_or_its_gateway_being_withdrawn", () =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "mahalla-edge-sessions-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const list = (devices: object) => writeFileSync(join(folder, "devices.json"), JSON.stringify(devices))
    list(listed)
    const clock = yield* TestClock.make({ warningDelay: "1 hour" })
    const options = { folder, listen: ["mqtt://127.0.0.1:0"], to: "http://127.0.0.1:9", token: "gateway-token" }
    const { addresses } = yield* Effect.provideService(openEdge(options), Clock.Clock, clock)
    const open = new Set<string>()
    const clients = yield* Effect.forEach(Object.entries(listed), ([name, shown]) =>
      Effect.acquireRelease(
        Effect.promise(async () => {
          const username = typeof shown === "string" ? shown : shown.token
          const client = await connectAsync(addresses[0]!, { username, reconnectPeriod: 0 })
          open.add(name)
          client.once("close", () => open.delete(name))
          return { client, name }
        }),
        ({ client }) => Effect.promise(() => client.endAsync(true))
      )
    )
    const closing = clients
      .filter(({ name }) => name !== "same")
      .map(({ client }) => new Promise<void>((closed) => client.once("close", () => closed())))
    yield* clock.adjust("1 minute")
    yield* Effect.sleep(50)
    assert.strictEqual(open.size, 5)

    const { changed, demoted, renamed, same } = listed
    list({ same, other: renamed, changed: `${changed}-anew`, demoted: demoted.token })
    yield* clock.adjust("1 minute")
    yield* Effect.promise(() => Promise.all(closing)).pipe(Effect.timeoutOption("5 seconds"))
    assert.deepStrictEqual([...open], ["same"])
  }).pipe(Effect.scoped)
)
