/** Devices by MQTT. `mqtt`: a broker of the city's own. `mqttConsumer`: messages of an outside broker. */
import { apiVersion, definePlugin, DeviceIngest, type PluginHealth } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { serveBroker } from "./broker/MqttBroker.ts"
import { MqttConfig } from "./config.ts"
import { MqttConsumerConfig } from "./consumer/config.ts"
import { serveConsumer } from "./consumer/MqttConsumer.ts"

export { serveBroker } from "./broker/MqttBroker.ts"
export { MqttConfig } from "./config.ts"
export { MqttConsumerConfig } from "./consumer/config.ts"

/** See `MqttConfig` for its keys. */
export const mqtt = definePlugin({
  id: "@mahalla/mqtt",
  apiVersion,
  config: MqttConfig,
  provides: [DeviceIngest],
  capabilities: { transport: "mqtt" },
  layer: (config) => Layer.succeed(DeviceIngest, { transport: "mqtt", serve: (host) => serveBroker(config, host) })
})

/** A consumer that tells how it is. */
interface Watched {
  readonly health?: () => PluginHealth
}

/** See `MqttConsumerConfig` for its keys. */
export const mqttConsumer = definePlugin({
  id: "@mahalla/mqtt-consumer",
  apiVersion,
  config: MqttConsumerConfig,
  provides: [DeviceIngest],
  capabilities: { transport: "mqtt" },
  layer: (config) =>
    Layer.sync(DeviceIngest, () => {
      let now: PluginHealth = { status: "down", detail: "It is not connected yet." }
      const watched: DeviceIngest["Service"] & Watched = {
        transport: "mqtt",
        serve: (host) => serveConsumer(config, host, (state) => void (now = state)),
        health: () => now
      }
      return watched
    }),
  health: () => Effect.map(DeviceIngest, (ingest) => (ingest as Watched).health?.() ?? { status: "up" })
})
