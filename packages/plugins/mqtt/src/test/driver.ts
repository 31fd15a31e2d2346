/** A device that speaks MQTT by the `mqtt` package, for the conformance suite. */
import type { DeviceCredential } from "@mahalla/core/plugin"
import { DeviceIngestDriver, type DeviceWire, type Heard, NotLetIn } from "@mahalla/core/testing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { connect, type IClientOptions, type MqttClient } from "mqtt"

/** As devices of the suite's city are called. */
const nameOf = (credential: DeviceCredential): string =>
  credential.kind === "token" ? credential.token.replace("token-of-", "") : "meter-0"

/** A client that is let in, or the words with which it is not; closed at the scope's end. */
export const clientOf = (url: string, options: IClientOptions): Effect.Effect<MqttClient, NotLetIn, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<MqttClient, NotLetIn>((resume) => {
      const client = connect(url, { reconnectPeriod: 0, connectTimeout: 20_000, ...options })
      let told = "closed"
      client.on("error", (error) => (told = error.message))
      client.once("close", () => resume(Effect.fail(new NotLetIn({ told }))))
      client.once("connect", () => resume(Effect.succeed(client)))
    }),
    (client) => Effect.sync(() => void client.end(true))
  )

/** Publishes with QoS 1 and tells what came of it. */
export const publish = (client: MqttClient, topic: string, payload: Uint8Array, qos: 1 | 2 = 1): Effect.Effect<Heard> =>
  Effect.callback<Heard>((resume) => {
    const closed = () => resume(Effect.succeed("unanswered"))
    if (!client.connected) return closed()
    client.once("close", closed)
    client.publish(topic, Buffer.from(payload), { qos }, (error) => {
      client.off("close", closed)
      resume(Effect.succeed(error === undefined || error === null ? "acknowledged" : "unanswered"))
    })
  })

const wireOf = (client: MqttClient, device: string): DeviceWire => {
  const topic = (as = { tenant: "samarkand", device }) => `mahalla/${as.tenant}/${as.device}`
  client.setMaxListeners(0)
  return {
    send: (payload, as) => publish(client, `${topic(as)}/telemetry`, payload),
    flood: (payload, most) =>
      Effect.gen(function* () {
        const { stream } = client
        let sent = 0
        let silentSince = yield* Clock.currentTimeMillis
        let waiting = 0
        while (sent < most && (yield* Clock.currentTimeMillis) - silentSince < 1_000) {
          while (stream.writableLength < 65_536 && sent < most) {
            client.publish(`${topic()}/telemetry`, Buffer.from(payload), { qos: 0 })
            sent += payload.byteLength
          }
          yield* Effect.sleep(5)
          if (stream.writableLength !== waiting) silentSince = yield* Clock.currentTimeMillis
          waiting = stream.writableLength
        }
        return sent - stream.writableLength
      }),
    command: Effect.callback((resume) => {
      client.subscribe(`${topic()}/command`, { qos: 1 })
      client.once("message", (_topic, payload) => {
        const { id, method, params } = JSON.parse(payload.toString())
        client.publish(`${topic()}/answer`, JSON.stringify({ id, answer: { done: true } }), { qos: 1 })
        resume(Effect.succeed({ method, params }))
      })
    })
  }
}

export const mqttDriver = Layer.succeed(DeviceIngestDriver, {
  lacks: [],
  connect: ({ addresses: [address] }, credential) =>
    Effect.map(clientOf(address ?? "", credential.kind === "token" ? { username: credential.token } : {}), (client) =>
      wireOf(client, nameOf(credential))
    )
})
