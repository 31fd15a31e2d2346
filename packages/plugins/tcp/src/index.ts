/** Devices by TCP: lines of JSON, and frames with a checksum. */
import { apiVersion, definePlugin, DeviceIngest } from "@mahalla/core/plugin"
import * as Layer from "effect/Layer"
import { TcpConfig } from "./config.ts"
import { serveTcp } from "./TcpIngest.ts"

export { TcpConfig } from "./config.ts"

/** See `TcpConfig` for its keys. */
export const tcp = definePlugin({
  id: "@mahalla/tcp",
  apiVersion,
  config: TcpConfig,
  provides: [DeviceIngest],
  capabilities: { transport: "tcp" },
  layer: (config) => Layer.succeed(DeviceIngest, { transport: "tcp", serve: (host) => serveTcp(config, host) })
})
