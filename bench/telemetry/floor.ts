/**
 * The floor: a bare consumer of a broker's messages on mqtt-packet. Every message is parsed as JSON and becomes a row of a table with a primary key;
 * whatever has come while one statement was under way goes into the next, and PUBACK leaves after its commit. It checks nothing, knows no tenants
 * and derives nothing. Tells its parent how many it has committed.
 */
import { connect } from "node:net"
import mqtt, { type IPublishPacket, type Packet } from "mqtt-packet"
import pg from "pg"

export interface FloorOptions {
  readonly databaseUrl: string
  readonly port: number
  readonly prefix: string
}

const { databaseUrl, port, prefix } = JSON.parse(process.argv[2]!) as FloorOptions
const v5 = { protocolVersion: 5 } as const
const most = 2000

const client = new pg.Client({ connectionString: databaseUrl })
await client.connect()
await client.query(`create table if not exists floor_reading (
  sensor bigint not null, time timestamptz not null, seq bigint not null, value double precision not null, primary key (sensor, time, seq))`)
const statement = `insert into floor_reading (sensor, time, seq, value)
  select sensor, to_timestamp(time / 1000), 0, value from unnest($1::bigint[], $2::float8[], $3::float8[]) as r (sensor, time, value)
  on conflict do nothing`

const waiting: Array<IPublishPacket> = []
let busy = false
let committed = 0

const socket = connect({ host: "127.0.0.1", port, noDelay: true })
const parser = mqtt.parser(v5)

const store = async (batch: ReadonlyArray<IPublishPacket>) => {
  const sensors: Array<number> = []
  const times: Array<number> = []
  const values: Array<number> = []
  for (const { payload, topic } of batch) {
    const meter = Number(topic.slice(topic.lastIndexOf("meter-") + 6, topic.lastIndexOf("/")))
    const body = JSON.parse(payload.toString()) as { readonly ts: number; readonly values: Record<string, number> }
    let place = 0
    for (const value of Object.values(body.values)) {
      sensors.push(meter * 4 + place++)
      times.push(body.ts)
      values.push(value)
    }
  }
  await client.query({ name: "store", text: statement, values: [sensors, times, values] })
  const acks = Buffer.allocUnsafe(batch.length * 4)
  batch.forEach(({ messageId }, place) => acks.writeUInt32BE(0x40020000 + messageId!, place * 4))
  socket.write(acks)
  committed += batch.length
  process.send?.({ committed })
}
const work = async () => {
  if (busy) return
  busy = true
  while (waiting.length > 0) await store(waiting.splice(0, most))
  busy = false
}

parser.on("packet", (packet: Packet) => {
  if (packet.cmd === "connack") {
    const subscriptions = [{ topic: `${prefix}mahalla/+/+/telemetry`, qos: 1 as const }]
    socket.write(mqtt.generate({ cmd: "subscribe", messageId: 1, subscriptions }, v5))
  } else if (packet.cmd === "suback") process.send?.({ committed })
  else if (packet.cmd === "publish") {
    waiting.push(packet)
    void work()
  }
})
socket.on("data", (piece: Buffer) => void parser.parse(piece))
socket.on("connect", () =>
  socket.write(
    mqtt.generate(
      {
        ...{ cmd: "connect", protocolId: "MQTT", protocolVersion: 5, clean: false, keepalive: 0, clientId: "floor" },
        properties: { sessionExpiryInterval: 86_400, receiveMaximum: 2 * most }
      },
      v5
    )
  )
)
process.on("disconnect", () => process.exit(0))
