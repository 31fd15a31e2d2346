import { DeviceIngest } from "@mahalla/core/plugin"
import { deviceIngestSuite } from "@mahalla/core/testing"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import { serveBroker } from "./broker/MqttBroker.ts"
import { consumerUnderTest } from "./test/scriptedBroker.ts"
import { mqttDriver } from "./test/driver.ts"

const broker = Layer.succeed(DeviceIngest, {
  transport: "mqtt",
  serve: (host) => serveBroker({ tcp: { port: 0 } }, host)
})

deviceIngestSuite.run({ describe, it }, { name: "mqtt, own broker", layer: Layer.merge(broker, mqttDriver) })
deviceIngestSuite.run({ describe, it }, { name: "mqtt, consumer of an outside broker", layer: consumerUnderTest })
