import { DeviceIngest } from "@mahalla/core/plugin"
import { deviceIngestSuite } from "@mahalla/core/testing"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import type { Listener } from "./config.ts"
import { serveTcp } from "./TcpIngest.ts"
import { crc16Frames, crc32Frames, lines, tcpDriver } from "./test/driver.ts"

const listening = (framer: Listener["framer"]) =>
  Layer.succeed(DeviceIngest, {
    transport: "tcp",
    serve: (host) => serveTcp({ listeners: [{ name: "loggers", framer, port: 0 }] }, host)
  })
const runner = { describe, it }

deviceIngestSuite.run(runner, {
  name: "tcp, lines of JSON",
  layer: Layer.merge(listening("json-lines"), tcpDriver(lines, []))
})
deviceIngestSuite.run(runner, {
  name: "tcp, frames with CRC-16",
  layer: Layer.merge(listening("crc16-frames"), tcpDriver(crc16Frames, ["commands"]))
})
deviceIngestSuite.run(runner, {
  name: "tcp, frames with CRC-32",
  layer: Layer.merge(listening("crc32-frames"), tcpDriver(crc32Frames, ["commands"]))
})
