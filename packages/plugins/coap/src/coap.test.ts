import { DeviceIngest } from "@mahalla/core/plugin"
import { deviceIngestSuite } from "@mahalla/core/testing"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import { serveCoap } from "./CoapIngest.ts"
import { coapDriver } from "./test/driver.ts"

const server = Layer.succeed(DeviceIngest, {
  transport: "coap",
  serve: (host) => serveCoap({ port: 0 }, host)
})

deviceIngestSuite.run({ describe, it }, { name: "coap", layer: Layer.merge(server, coapDriver) })
