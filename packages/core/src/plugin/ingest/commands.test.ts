import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { deviceIdOf, fakeIngestHost } from "../../testing/index.ts"
import * as Stream from "effect/Stream"
import { type DeviceCommand, DeviceIngestError, type IngestHost } from "../../ports/DeviceIngest.ts"
import { makeIngestCommands } from "./commands.ts"

const command = (change: Partial<DeviceCommand> = {}): DeviceCommand => ({
  id: "018f0000-0000-7000-8000-00000000c0de",
  tenant: "samarkand",
  device: "meter-1",
  deviceId: deviceIdOf("meter-1"),
  method: "open",
  params: null,
  expiresAt: Number.MAX_SAFE_INTEGER,
  ...change
})

const opened = Effect.gen(function* () {
  const fake = yield* fakeIngestHost()
  const commands = yield* makeIngestCommands(fake.host)
  const went: Array<string> = []
  const way = (name: string) => (given: DeviceCommand) =>
    Effect.sync(() => {
      went.push(`${name} ${given.method}`)
      return undefined
    })
  const offer = (change?: Partial<DeviceCommand>) =>
    Effect.andThen(fake.command(command(change)), Effect.sleep("20 millis"))
  return { commands, fake, offer, way, went }
})

const refused = new DeviceIngestError({
  reason: "InvalidRequest",
  operation: "commandState",
  subject: "018f0000-0000-7000-8000-00000000c0de",
  message: "It has been sent already.",
  retryable: false
})

describe("a command", () => {
  it.live("that_is_offered_again_while_nobody_is_there_is_handed_over_once_and_as_it_was_offered_last", () =>
    Effect.gen(function* () {
      const { commands, offer, way, went } = yield* opened
      for (const method of ["open", "open", "shut"]) yield* offer({ method })
      commands.reach(deviceIdOf("meter-1"), way("device"))
      yield* Effect.sleep("20 millis")
      assert.deepEqual(went, ["device shut"])
    }).pipe(Effect.scoped)
  )

  it.live("goes_to_the_gateway_where_the_device_is_not_here_itself_and_is_answered_by_it", () =>
    Effect.gen(function* () {
      const { commands, fake, offer, way, went } = yield* opened
      const through = deviceIdOf("meter-gateway")
      yield* offer({ through })
      commands.reach(through, way("gateway"), () => true)
      yield* Effect.sleep("20 millis")
      yield* commands.answer(deviceIdOf("meter-1"), command().id, { state: "answered", answer: "forged" })
      yield* commands.answer(through, command().id, { state: "answered", answer: "done" })
      commands.reach(deviceIdOf("meter-1"), way("device"))
      yield* offer({ id: "018f0000-0000-7000-8000-00000000c0df", through })
      assert.deepEqual(went, ["gateway open", "device open"])
      assert.deepEqual(
        fake.states.map(([, state]) => state),
        [{ state: "sent" }, { state: "answered", answer: "done" }, { state: "sent" }]
      )
    }).pipe(Effect.scoped)
  )

  it.live("in_a_networks_bytes_waits_for_a_way_that_takes_them", () =>
    Effect.gen(function* () {
      const { commands, fake, offer, way, went } = yield* opened
      commands.reach(deviceIdOf("meter-1"), way("device"))
      yield* offer({ raw: { topic: "spBv1.0/g/NCMD/n", payload: new Uint8Array(1) } })
      assert.deepEqual([went, fake.states], [[], []])
      commands.reachAll(way("broker"), ({ raw }) => raw !== undefined)
      yield* Effect.sleep("20 millis")
      assert.deepEqual(went, ["broker open"])
    }).pipe(Effect.scoped)
  )

  it.live("that_nobody_was_there_to_take_is_said_to_wait_and_handed_over_when_it_is_offered_again", () =>
    Effect.gen(function* () {
      const { commands, fake, offer, way, went } = yield* opened
      const leave = commands.reachAll(() => Effect.succeed({ state: "queued" }))
      yield* offer()
      yield* Effect.sleep("1100 millis")
      yield* commands.answer(deviceIdOf("meter-1"), command().id, { state: "answered", answer: "forged" })
      leave()
      commands.reach(deviceIdOf("meter-1"), way("device"))
      yield* offer()
      assert.deepEqual(went, ["device open"])
      assert.deepEqual(
        fake.states.map(([, { state }]) => state),
        ["sent", "queued", "sent"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("that_another_way_takes_is_never_too_many_here", () =>
    Effect.gen(function* () {
      const { commands, fake, offer, way, went } = yield* opened
      const others = yield* fakeIngestHost()
      yield* makeIngestCommands({ ...others.host, commandState: fake.host.commandState })
      commands.reach(deviceIdOf("meter-1"), way("device"))
      for (let count = 0; count < 70; count++) {
        const id = `018f0000-0000-7000-8000-0000000000${String(count).padStart(2, "0")}`
        yield* others.command(command({ id }))
        yield* offer({ id })
      }
      assert.strictEqual(went.length, 70)
      assert.deepEqual(
        fake.states.filter(([, { state }]) => state !== "sent"),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.live("is_left_to_the_devices_own_connection_where_there_is_one", () =>
    Effect.gen(function* () {
      const fake = yield* fakeIngestHost()
      const sent = new Set<string>()
      const host: IngestHost = {
        ...fake.host,
        commands: Stream.concat(Stream.make(command()), Stream.never),
        commandState: (id, state) =>
          state.state !== "sent"
            ? Effect.void
            : Effect.suspend(() => (sent.has(id) ? Effect.fail(refused) : Effect.sync(() => void sent.add(id))))
      }
      const [consumer, broker] = [yield* makeIngestCommands(host), yield* makeIngestCommands(host)]
      const handed: Array<string> = []
      const by = (way: string) => () => Effect.sync(() => void handed.push(way)).pipe(Effect.as(undefined))
      consumer.reachAll(by("everybody's"))
      broker.reach(command().deviceId, by("its own"))
      yield* Effect.sleep(1500)
      assert.deepStrictEqual(handed, ["its own"])
    }).pipe(Effect.scoped)
  )
})
