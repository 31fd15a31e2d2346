/** Devices of other hands at the own broker, and a real broker before the consumer. */
import { execFile } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { type DeviceCommand, DeviceIngestError, type IngestHost } from "@mahalla/core/plugin"
import { deviceIdOf, fakeIngestHost } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { assert, describe, it } from "@effect/vitest"
import type { MqttClient } from "mqtt"
import { ensureProgram } from "../../../../scripts/services/debian.ts"
import { serveBroker } from "./broker/MqttBroker.ts"
import { MqttConsumerConfig } from "./consumer/config.ts"
import { serveConsumer } from "./consumer/MqttConsumer.ts"
import { clientOf, publish } from "./test/driver.ts"
import { mosquitto, programs } from "../../../../scripts/services/mosquitto.ts"

const run = promisify(execFile)
const openssl = await ensureProgram("openssl")
const text = (payload: Uint8Array) => Buffer.from(payload).toString()

const waitFor = (holds: () => boolean) =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 400 && !holds(); tries++) yield* Effect.sleep(25)
    assert.isTrue(holds())
  })

const serving = (config: Parameters<typeof serveBroker>[0], change: Partial<IngestHost> = {}) =>
  Effect.gen(function* () {
    const fake = yield* fakeIngestHost()
    const { addresses } = yield* serveBroker(config, { ...fake.host, ...change })
    return { fake, address: addresses[0]! }
  })

const certificate = Effect.acquireRelease(
  Effect.promise(async () => {
    const folder = await mkdtemp(join(tmpdir(), "mahalla-mqtt-"))
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]
    await run(openssl, ["req", "-x509", ...curve, "-out", cert, "-days", "2", "-subj", "/CN=meter-1"])
    return { folder, key, cert }
  }),
  ({ folder }) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

const command = (change: Partial<DeviceCommand> = {}): DeviceCommand => ({
  id: "018f0000-0000-7000-8000-00000000c0de",
  tenant: "samarkand",
  device: "meter-1",
  deviceId: deviceIdOf("meter-1"),
  method: "setValve",
  params: { open: 30 },
  expiresAt: Number.MAX_SAFE_INTEGER,
  ...change
})

/** The next message a client hears. */
const heard = (client: MqttClient) =>
  Effect.callback<{ readonly topic: string; readonly payload: string }>((resume) => {
    client.once("message", (topic, payload) => resume(Effect.succeed({ topic, payload: payload.toString() })))
  })

describe("own broker", () => {
  it.live("takes_readings_from_mosquitto_pub_on_the_topics_of_thingsboard", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving({ tcp: { port: 0 } })
      const { port } = new URL(address)
      const say = (topic: string, qos: number, user = "token-of-meter-gateway") =>
        Effect.promise(() =>
          run(programs["mosquitto_pub"]!, ["-p", port, "-u", user, "-q", String(qos), "-t", topic, "-m", '{"a":1}'])
        )
      yield* say("v1/devices/me/telemetry", 1)
      yield* say("v1/devices/me/attributes", 2)
      yield* say("v1/gateway/telemetry", 0)
      yield* say("application/7/device/0102030405060708/event/up", 1)
      yield* say("v3/app@town/devices/node-1/up", 1)
      yield* say("spBv1.0/plant/DDATA/edge/pump", 1)
      yield* say("sensors/my-own", 1)
      yield* waitFor(() => fake.committed.length >= 7)
      assert.deepEqual(
        fake.committed.map(({ format }) => format),
        ["json", "attributes", "gateway-json", "chirpstack", "things-stack", "sparkplug", "profile"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("answers_a_command_of_thingsboard_by_its_number", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving({ tcp: { port: 0 } })
      const client = yield* clientOf(address, { username: "token-of-meter-1" })
      yield* Effect.promise(() => client.subscribeAsync("v1/devices/me/rpc/request/+", { qos: 1 }))
      const listening = yield* Effect.forkChild(heard(client))
      yield* Effect.sleep(10)
      yield* fake.command(command())
      yield* waitFor(() => listening.pollUnsafe() !== undefined)
      const exit = listening.pollUnsafe()!
      const { payload, topic } = Exit.isSuccess(exit) ? exit.value : { payload: "", topic: "" }
      assert.deepEqual(JSON.parse(payload), { method: "setValve", params: { open: 30 } })
      yield* publish(client, topic.replace("request", "response"), Buffer.from('{"position":30}'))
      yield* waitFor(() => fake.states.length === 3)
      assert.deepEqual(
        fake.states.map(([, state]) => state),
        [{ state: "sent" }, { state: "delivered" }, { state: "answered", answer: { position: 30 } }]
      )
    }).pipe(Effect.scoped)
  )

  it.live("hears_no_answer_to_a_command_of_another_device", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving({ tcp: { port: 0 } })
      const first = yield* clientOf(address, { username: "token-of-meter-1" })
      yield* Effect.promise(() => first.subscribeAsync("mahalla/samarkand/meter-1/command", { qos: 1 }))
      yield* fake.command(command())
      yield* waitFor(() => fake.states.length === 2)
      const second = yield* clientOf(address, { username: "token-of-meter-2" })
      const forged = Buffer.from(JSON.stringify({ id: command().id, answer: "done" }))
      assert.strictEqual(yield* publish(second, "mahalla/samarkand/meter-2/answer", forged), "acknowledged")
      assert.deepEqual(
        fake.states.map(([, { state }]) => state),
        ["sent", "delivered"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("gives_a_gateway_the_commands_to_devices_behind_it_and_each_its_own_acknowledgement", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving({ tcp: { port: 0 } })
      const gateway = yield* clientOf(address, { username: "token-of-meter-gateway" })
      const heardAll: Array<{ readonly topic: string; readonly payload: string }> = []
      gateway.on("message", (topic, payload) => void heardAll.push({ topic, payload: payload.toString() }))
      yield* Effect.promise(() => gateway.subscribeAsync(["v1/gateway/rpc", "spBv1.0/g/DCMD/n/+"], { qos: 1 }))
      const through = deviceIdOf("meter-gateway")
      const ids = ["c1", "c2", "c3", "c4"]
      for (const [index, id] of ids.entries())
        yield* fake.command(command({ id, through, device: `meter-${index}`, deviceId: deviceIdOf(`meter-${index}`) }))
      const raw = { topic: "spBv1.0/g/DCMD/n/meter-9", payload: Buffer.from("bytes") }
      yield* fake.command(command({ id: "c5", through, deviceId: deviceIdOf("meter-9"), raw }))
      // Nobody listens for it.
      yield* fake.command(command({ id: "c6", through, deviceId: "d", raw: { ...raw, topic: "spBv1.0/g/NCMD/n" } }))
      const known = () => fake.states.map(([id, { state }]) => `${id} ${state}`).sort((a, b) => (a < b ? -1 : 1))
      yield* waitFor(() => known().length >= 10)
      assert.deepEqual(
        known(),
        [...ids, "c5"].flatMap((id) => [`${id} delivered`, `${id} sent`])
      )
      assert.deepEqual(
        heardAll.filter(({ topic }) => topic.startsWith("spBv1.0/")),
        [{ topic: raw.topic, payload: "bytes" }]
      )
      const told = heardAll.filter(({ topic }) => topic === "v1/gateway/rpc").map(({ payload }) => JSON.parse(payload))
      const { data, device } = told.find((one) => one.device === "meter-2")
      const answer = Buffer.from(JSON.stringify({ device, id: data.id, data: { done: true } }))
      yield* publish(gateway, "v1/gateway/rpc", answer)
      yield* waitFor(() => fake.states.some(([id, { state }]) => id === "c3" && state === "answered"))
      const other = yield* clientOf(address, { username: "token-of-meter-1" })
      const granted = yield* Effect.promise(() =>
        other.subscribeAsync(["v1/gateway/rpc", "spBv1.0/#"]).catch(() => [{ qos: 128 }, { qos: 128 }])
      )
      assert.deepEqual(
        granted.map(({ qos }) => qos),
        [128, 128]
      )
    }).pipe(Effect.scoped)
  )

  it.live("lets_a_device_hear_nothing_of_others_and_take_over_nobody", () =>
    Effect.gen(function* () {
      const { address } = yield* serving({ tcp: { port: 0 } })
      const victim = yield* clientOf(address, { username: "token-of-meter-1", clientId: "same" })
      const other = yield* clientOf(address, { username: "token-of-meter-2", clientId: "same", clean: false })
      assert.isTrue(victim.connected)
      for (const filter of [
        "#",
        "mahalla/#",
        "mahalla/samarkand/meter-1/command",
        "v1/devices/+/telemetry",
        "$SYS/#"
      ]) {
        const granted = yield* Effect.promise(() => other.subscribeAsync(filter).catch(() => [{ qos: 128 }]))
        assert.deepEqual(
          granted.map(({ qos }) => qos),
          [128]
        )
      }
      const listening = yield* Effect.forkChild(heard(other))
      const retained = Buffer.from('{"n":1}')
      yield* Effect.promise(() => victim.publishAsync("v1/devices/me/telemetry", retained, { qos: 1, retain: true }))
      yield* Effect.sleep(100)
      assert.isUndefined(listening.pollUnsafe())
    }).pipe(Effect.scoped)
  )

  it.live("carries_nothing_from_one_gateway_or_device_to_another", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving({ tcp: { port: 0 } })
      const [sender, listener] = [
        yield* clientOf(address, { username: "token-of-meter-gateway" }),
        yield* clientOf(address, { username: "token-of-meter-gateway-2" })
      ]
      const said: Array<string> = []
      listener.on("message", (topic, payload) => void said.push(`${topic} ${payload.toString()}`))
      const filters = ["v1/gateway/rpc", "v1/gateway/attributes", "v1/devices/me/attributes", "spBv1.0/#", "v3/#"]
      yield* Effect.promise(() => listener.subscribeAsync(filters, { qos: 1 }))
      const forged = '{"device":"valve","data":{"id":1,"method":"open"}}'
      for (const topic of [
        "v1/gateway/rpc",
        "v1/gateway/attributes",
        "v1/devices/me/attributes",
        "spBv1.0/plant/DDATA/edge/pump",
        "v3/app@town/devices/node-1/up"
      ])
        assert.strictEqual(yield* publish(sender, topic, Buffer.from(forged)), "acknowledged")
      const of = "meter-gateway-2"
      yield* fake.command(command({ device: of, deviceId: deviceIdOf("meter-5"), through: deviceIdOf(of) }))
      yield* waitFor(() => said.length > 0 && fake.states.some(([, { state }]) => state === "delivered"))
      assert.deepEqual(
        said.map((one) => one.includes("setValve")),
        [true]
      )
    }).pipe(Effect.scoped)
  )

  it.live("knows_a_device_by_name_and_password", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving({ tcp: { port: 0 } })
      const client = yield* clientOf(address, { username: "meter-5", password: "right" })
      assert.strictEqual(yield* publish(client, "v1/devices/me/telemetry", Buffer.from("{}")), "acknowledged")
      const { told } = yield* Effect.flip(clientOf(address, { username: "meter-5", password: "wrong" }))
      assert.strictEqual((yield* Effect.flip(clientOf(address, {}))).told, told)
      assert.strictEqual(fake.committed.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("knows_a_device_by_the_certificate_of_its_handshake", () =>
    Effect.gen(function* () {
      const { cert, key } = yield* certificate
      const pem = yield* Effect.promise(() => readFile(cert))
      const known = new X509Certificate(pem).raw
      const fake = yield* fakeIngestHost()
      const authenticate: IngestHost["authenticate"] = (credential) =>
        credential.kind === "x509" && known.equals(credential.chain[0]!)
          ? fake.host.authenticate({ kind: "token", token: "token-of-meter-1" })
          : Effect.fail(
              new DeviceIngestError({
                reason: "Unauthorized",
                operation: "authenticate",
                subject: "device",
                message: "Not known.",
                retryable: false
              })
            )
      const { addresses } = yield* serveBroker(
        { tls: { port: 0, certificate: cert, key } },
        { ...fake.host, authenticate }
      )
      const secret = yield* Effect.promise(() => readFile(key))
      const client = yield* clientOf(addresses[0]!, { cert: pem, key: secret, rejectUnauthorized: false })
      assert.strictEqual(yield* publish(client, "v1/devices/me/telemetry", Buffer.from("{}")), "acknowledged")
      yield* Effect.flip(clientOf(addresses[0]!, { rejectUnauthorized: false }))
      assert.strictEqual(fake.committed.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("serves_websockets", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving({ websocket: { port: 0 } })
      const client = yield* clientOf(address, { username: "token-of-meter-1" })
      assert.strictEqual(yield* publish(client, "v1/devices/me/telemetry", Buffer.from("{}")), "acknowledged")
      assert.strictEqual(fake.committed.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("says_which_port_is_taken_and_which_file_is_missing", () =>
    Effect.gen(function* () {
      const { address } = yield* serving({ tcp: { port: 0 } })
      const { port } = new URL(address)
      const taken = yield* Effect.flip(serving({ tcp: { port: Number(port) } }))
      assert.deepInclude(taken, { reason: "InvalidRequest" })
      assert.include(taken.message, port)
      const missing = yield* Effect.flip(serving({ tls: { port: 0, certificate: "/no/cert.pem", key: "/no/key.pem" } }))
      assert.include(missing.message, "/no/cert.pem")
    }).pipe(Effect.scoped)
  )
})

describe("consumer of Mosquitto", () => {
  const config = { clientId: "city-1", tenant: "samarkand" }

  it.live("comes_back_after_the_broker_was_killed_and_reads_what_came_meanwhile", () =>
    Effect.gen(function* () {
      const { port, start, stop, url } = yield* mosquitto()
      const fake = yield* fakeIngestHost()
      const states: Array<string> = []
      yield* serveConsumer({ url, ...config }, fake.host, ({ status }) => void states.push(status))
      yield* waitFor(() => states.includes("up"))
      const say = (message: string) =>
        Effect.promise(() =>
          run(programs["mosquitto_pub"]!, [
            "-p",
            String(port),
            "-q",
            "1",
            "-t",
            "mahalla/samarkand/meter-1/telemetry",
            "-m",
            message
          ])
        )
      yield* say('{"n":1}')
      yield* waitFor(() => fake.committed.length === 1)
      yield* stop("SIGKILL")
      yield* waitFor(() => states.at(-1) === "down")
      yield* start
      yield* waitFor(() => states.at(-1) === "up")
      yield* say('{"n":2}')
      yield* waitFor(() => fake.committed.length >= 2)
      assert.deepEqual(fake.committed.map(({ payload }) => text(payload)).slice(-1), ['{"n":2}'])
      assert.deepEqual(fake.committed[0]?.from, { tenant: "samarkand", device: "meter-1" })
    }).pipe(Effect.scoped)
  )

  it.live("is_sent_what_was_published_while_it_was_away", () =>
    Effect.gen(function* () {
      const { port, url } = yield* mosquitto()
      const fake = yield* fakeIngestHost()
      const once = Effect.fnUntraced(function* () {
        const scope = yield* Scope.make()
        const states: Array<string> = []
        const serve = serveConsumer({ url, ...config }, fake.host, ({ status }) => void states.push(status))
        yield* Scope.provide(serve, scope)
        yield* waitFor(() => states.includes("up"))
        return scope
      })
      yield* Scope.close(yield* once(), Exit.void)
      const topic = "mahalla/samarkand/meter-1/telemetry"
      for (let n = 0; n < 20; n++)
        yield* Effect.promise(() =>
          run(programs["mosquitto_pub"]!, ["-p", String(port), "-q", "1", "-t", topic, "-m", `${n}`])
        )
      const scope = yield* once()
      yield* waitFor(() => fake.committed.length >= 20)
      yield* Scope.close(scope, Exit.void)
      assert.deepEqual(
        fake.committed.map(({ payload }) => Number(text(payload))),
        Array.from({ length: 20 }, (_, n) => n)
      )
    }).pipe(Effect.scoped)
  )

  it.live("says_of_a_command_whether_anybody_was_there_to_take_it", () =>
    Effect.gen(function* () {
      const { url } = yield* mosquitto()
      const fake = yield* fakeIngestHost()
      const states: Array<string> = []
      yield* serveConsumer({ url, ...config }, fake.host, ({ status }) => void states.push(status))
      yield* waitFor(() => states.includes("up"))
      yield* fake.command(command())
      yield* waitFor(() => fake.states.length === 2)
      const client = yield* clientOf(url, {})
      yield* Effect.promise(() => client.subscribeAsync("mahalla/samarkand/meter-1/command", { qos: 1 }))
      const listening = yield* Effect.forkChild(heard(client))
      yield* fake.command(command())
      yield* waitFor(() => listening.pollUnsafe() !== undefined && fake.states.length >= 3)
      yield* Effect.sleep("200 millis")
      assert.deepEqual(
        fake.states.map(([, { state }]) => state),
        ["sent", "queued", "sent"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("tells_sparkplug_that_the_host_is_there_and_that_it_is_gone", () =>
    Effect.gen(function* () {
      const { url } = yield* mosquitto()
      const watcher = yield* clientOf(url, {})
      const states: Array<{ readonly online: boolean; readonly timestamp: number }> = []
      watcher.on("message", (_topic, payload) => void states.push(JSON.parse(payload.toString())))
      yield* Effect.promise(() => watcher.subscribeAsync("spBv1.0/STATE/city", { qos: 1 }))
      const fake = yield* fakeIngestHost()
      const scope = yield* Scope.make()
      const sparkplug = { url, ...config, kinds: ["sparkplug"], sparkplugHost: "city" } as const
      yield* Scope.provide(
        serveConsumer(sparkplug, fake.host, () => undefined),
        scope
      )
      yield* waitFor(() => states.length === 1)
      yield* Scope.close(scope, Exit.void)
      yield* waitFor(() => states.length === 2)
      assert.deepEqual(
        states.map(({ online }) => online),
        [true, false]
      )
    }).pipe(Effect.scoped)
  )

  it("refuses_settings_that_cannot_work", () => {
    const decode = Schema.decodeUnknownExit(MqttConsumerConfig)
    const good = { url: "mqtts://broker.example", ...config }
    assert.strictEqual(decode(good)._tag, "Success")
    for (const wrong of [
      { url: "http://broker" },
      { clientId: "" },
      { kinds: [] },
      { prefix: "city/#/" },
      { tenant: "A b" }
    ])
      assert.strictEqual(decode({ ...good, ...wrong })._tag, "Failure")
  })
})
