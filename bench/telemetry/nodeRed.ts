/**
 * A peer: Node-RED with a flow of two nodes, a subscription and a function that gathers what comes in 20 ms (2,000 at most) into one statement with
 * UNNEST. Its MQTT node acknowledges what it receives, before anything is stored: what is gathered is lost when it ends. Tells its parent how
 * many it has committed.
 */
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { ensurePeers, importPeer } from "../peers.mjs"
import type { FloorOptions } from "./floor.ts"
import pg from "pg"

const { databaseUrl, port, prefix, home } = JSON.parse(process.argv[2]!) as FloorOptions & { readonly home: string }
ensurePeers("node-red")
interface NodeRed {
  readonly init: (server: object, settings: object) => void
  readonly start: () => Promise<void>
}
const { default: RED } = (await importPeer("node-red", "node-red")) as { readonly default: NodeRed }

const client = new pg.Client({ connectionString: databaseUrl })
await client.connect()
await client.query(`create table if not exists red_reading (
  sensor bigint not null, time timestamptz not null, value double precision not null)`)
await client.query("create index if not exists red_reading_by_time on red_reading (sensor, time)")
let committed = 0
const store = async (sensors: ReadonlyArray<number>, times: ReadonlyArray<number>, values: ReadonlyArray<number>) => {
  await client.query({
    name: "store",
    text: `insert into red_reading select sensor, to_timestamp(time / 1000), value
      from unnest($1::bigint[], $2::float8[], $3::float8[]) as r (sensor, time, value)`,
    values: [sensors, times, values]
  })
  committed += sensors.length
  process.send?.({ committed })
}

const gather = `
const waiting = context.get("waiting") || []
if (waiting.length === 0) context.set("waiting", waiting)
waiting.push(msg)
const flush = async () => {
  if (context.get("busy")) return
  context.set("busy", true)
  while (waiting.length > 0) {
    const batch = waiting.splice(0, 2000)
    const meter = ({ topic }) => Number(topic.slice(topic.lastIndexOf("meter-") + 6, topic.lastIndexOf("/"))) * 4
    await global.get("store")(
      batch.map(meter), batch.map(({ payload }) => payload.ts), batch.map(({ payload }) => Object.values(payload.values)[0])
    )
  }
  context.set("busy", false)
}
if (waiting.length >= 2000) flush()
else if (!context.get("timer")) context.set("timer", setTimeout(() => { context.set("timer", undefined); flush() }, 20))
`
const broker = {
  ...{ id: "broker", type: "mqtt-broker", broker: "127.0.0.1", port: String(port), clientid: "node-red" },
  ...{ autoConnect: true, protocolVersion: "5", keepalive: "0", cleansession: false, sessionExpiry: "86400" }
}
const subscription = {
  ...{ id: "in", type: "mqtt in", z: "tab", topic: `${prefix}mahalla/+/+/telemetry`, qos: "1", datatype: "json" },
  ...{ broker: "broker", nl: false, rap: true, rh: 0, inputs: 0, x: 100, y: 100, wires: [["gather"]] }
}
const flows = [
  { id: "tab", type: "tab", label: "Readings" },
  broker,
  subscription,
  { id: "gather", type: "function", z: "tab", func: gather, outputs: 0, timeout: 0, x: 300, y: 100, wires: [] }
]

// Read when it starts: flows that are set then would be replaced by what it has read.
writeFileSync(join(home, "flows.json"), JSON.stringify(flows))
const server = createServer()
RED.init(server, {
  userDir: home,
  flowFile: "flows.json",
  httpAdminRoot: false,
  httpNodeRoot: false,
  functionGlobalContext: { store },
  logging: { console: { level: "warn" } },
  telemetry: { enabled: false }
})
await RED.start()
// Its session is there when the broker knows the subscription.
await new Promise((later) => setTimeout(later, 2000))
process.send?.({ committed })
process.on("disconnect", () => process.exit(0))
