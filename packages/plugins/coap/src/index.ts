/** Devices by CoAP. */
import { apiVersion, definePlugin, DeviceIngest } from "@mahalla/core/plugin"
import * as Layer from "effect/Layer"
import { serveCoap } from "./CoapIngest.ts"
import { CoapConfig } from "./config.ts"

export { CoapConfig } from "./config.ts"

/** See `CoapConfig` for its keys. */
export const coap = definePlugin({
  id: "@mahalla/coap",
  apiVersion,
  config: CoapConfig,
  provides: [DeviceIngest],
  capabilities: { transport: "coap" },
  layer: (config) => Layer.succeed(DeviceIngest, { transport: "coap", serve: (host) => serveCoap(config, host) })
})
