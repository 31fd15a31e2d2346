import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { DeviceSession } from "../../ports/DeviceIngest.ts"
import { deviceIdOf, fakeIngestHost } from "../../testing/DeviceIngest.host.ts"
import { makeIntake } from "./intake.ts"

it.live("goes_on_though_a_connection_stumbles_over_its_outcome", () =>
  Effect.gen(function* () {
    const fake = yield* fakeIngestHost()
    const { take, waiting } = yield* makeIntake("test", fake.host)
    const session: DeviceSession = {
      id: "1",
      deviceId: deviceIdOf("meter-1"),
      tenantId: "t",
      tenant: "samarkand",
      device: "meter-1",
      gateway: false
    }
    const message = {
      from: { session },
      topic: "t",
      payload: Buffer.from("{}"),
      format: "json",
      receivedAt: 0
    } as const
    const heard: Array<string> = []
    take(message, () => {
      throw new Error("The connection is in a state that nobody expected.")
    })
    take(message, ({ state }) => void heard.push(state))
    yield* Effect.sleep(100)
    take(message, ({ state }) => void heard.push(state))
    yield* Effect.sleep(100)
    assert.deepStrictEqual([heard, waiting()], [["stored", "stored"], 0])
  }).pipe(Effect.scoped)
)
