/**
 * The broker's end of a consumer's connection, for the conformance suite: a broker that says which of its messages were acknowledged, and
 * keeps no Receive Maximum. (What real brokers do is tested with Mosquitto.)
 */
import { type AddressInfo, createServer, type Socket } from "node:net"
import { DeviceIngest, type DeviceCommand } from "@mahalla/core/plugin"
import { DeviceIngestDriver, type DeviceWire, type Heard } from "@mahalla/core/testing"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import mqtt, { type Packet } from "mqtt-packet"
import { serveConsumer } from "../consumer/MqttConsumer.ts"

const v5 = { protocolVersion: 5 } as const

const scriptedBroker = Effect.gen(function* () {
  const inbox = new Map<string, Queue.Queue<Buffer>>()
  const unheard = new Map<number, (heard: Heard) => void>()
  const sockets = new Set<Socket>()
  let consumer: Socket | undefined
  let lastId = 0

  const inboxOf = (topic: string) => {
    const known = inbox.get(topic)
    if (known !== undefined) return known
    const made = Effect.runSync(Queue.unbounded<Buffer>())
    inbox.set(topic, made)
    return made
  }
  const hear = (socket: Socket, packet: Packet) => {
    const send = (answer: Packet) => void socket.write(mqtt.generate(answer, v5))
    switch (packet.cmd) {
      case "connect":
        return send({ cmd: "connack", reasonCode: 0, sessionPresent: false })
      case "subscribe":
        consumer = socket
        return send({ cmd: "suback", messageId: packet.messageId!, granted: packet.subscriptions.map(() => 1) })
      case "pingreq":
        return send({ cmd: "pingresp" })
      case "puback": {
        const id = packet.messageId!
        // In the order in which the messages were sent, as the protocol demands.
        const [oldest] = unheard.keys()
        unheard.get(id)?.(oldest !== id ? "unanswered" : (packet.reasonCode ?? 0) < 0x80 ? "acknowledged" : "refused")
        return void unheard.delete(id)
      }
      case "publish":
        Queue.offerUnsafe(inboxOf(packet.topic), packet.payload as Buffer)
        return send({ cmd: "puback", messageId: packet.messageId!, reasonCode: 0 })
      default:
        return undefined
    }
  }
  const server = createServer((socket) => {
    const parser = mqtt.parser(v5)
    sockets.add(socket)
    parser.on("packet", (packet) => hear(socket, packet))
    socket.on("data", (piece) => void parser.parse(piece))
    socket.on("error", () => undefined)
    socket.once("close", () => {
      sockets.delete(socket)
      if (consumer === socket) consumer = undefined
      for (const answer of unheard.values()) answer("unanswered")
      unheard.clear()
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

  const packetOf = (topic: string, payload: Uint8Array, messageId: number) =>
    mqtt.generate(
      { cmd: "publish", qos: 1, dup: false, retain: false, topic, payload: Buffer.from(payload), messageId },
      v5
    )
  const publish = (topic: string, payload: Uint8Array) =>
    Effect.callback<Heard>((resume) => {
      const socket = consumer
      if (socket === undefined) return resume(Effect.succeed("unanswered"))
      const id = (lastId = (lastId % 65_535) + 1)
      unheard.set(id, (heard) => resume(Effect.succeed(heard)))
      socket.write(packetOf(topic, payload, id))
    })
  const flood = (topic: string, payload: Uint8Array, most: number) =>
    Effect.gen(function* () {
      let sent = 0
      let silentSince = yield* Clock.currentTimeMillis
      let waiting = 0
      while (sent < most && (yield* Clock.currentTimeMillis) - silentSince < 1_000) {
        while (consumer !== undefined && consumer.writableLength < 65_536 && sent < most) {
          const id = (lastId = (lastId % 65_535) + 1)
          unheard.set(id, () => undefined)
          consumer.write(packetOf(topic, payload, id))
          sent += payload.byteLength
        }
        yield* Effect.sleep(5)
        const left = consumer?.writableLength ?? 0
        if (left !== waiting) silentSince = yield* Clock.currentTimeMillis
        waiting = left
      }
      return sent - waiting
    })
  const { port } = server.address() as AddressInfo
  return { port, publish, flood, inboxOf, ready: () => consumer !== undefined }
})

type Asked = Pick<DeviceCommand, "id" | "method" | "params">

/** The consumer and, as its driver, the broker. */
export const consumerUnderTest = Layer.effectContext(
  Effect.gen(function* () {
    const broker = yield* scriptedBroker
    const config = { url: `mqtt://127.0.0.1:${broker.port}`, clientId: "city-1", tenant: "samarkand" }
    const ingest = DeviceIngest.of({
      transport: "mqtt",
      serve: (host) => serveConsumer(config, host, () => undefined)
    })
    const wireOf = (device: string): DeviceWire => {
      const topic = `mahalla/samarkand/${device}`
      return {
        send: (payload) => broker.publish(`${topic}/telemetry`, payload),
        flood: (payload, most) => broker.flood(`${topic}/telemetry`, payload, most),
        command: Effect.gen(function* () {
          const payload = yield* Queue.take(broker.inboxOf(`${topic}/command`))
          const { id, method, params } = JSON.parse(payload.toString()) as Asked
          yield* broker.publish(`${topic}/answer`, Buffer.from(JSON.stringify({ id, answer: { done: true } })))
          return { method, params }
        })
      }
    }
    const driver = DeviceIngestDriver.of({
      lacks: ["credentials", "topics", "connections", "sizes"],
      connect: (_, credential) =>
        Effect.gen(function* () {
          while (!broker.ready()) yield* Effect.sleep(5)
          return wireOf(credential.kind === "token" ? credential.token.replace("token-of-", "") : "meter-0")
        })
    })
    return Context.make(DeviceIngest, ingest).pipe(Context.add(DeviceIngestDriver, driver))
  })
)
