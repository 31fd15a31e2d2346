/**
 * Devices as a process: publishes with QoS 1 and says when all of it is acknowledged. To an outside broker as one client that speaks for all of
 * them, to our own with a connection for each. Frames are written by hand, so that the publisher is never what is measured. Takes a `Job` as a
 * message, answers with a `Published`.
 */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import mqtt from "mqtt-packet"
import { deviceName, readingOf, type Sending, tokenOf } from "./readings.ts"

export interface Job extends Sending {
  readonly port: number
  /** Before every topic, with its slash. */
  readonly prefix: string
  readonly tenant: string
  /** Of the messages. */
  readonly from: number
  readonly count: number
  /** Messages of a connection without an acknowledgement, at most. */
  readonly window: number
  /** Connections, each of a device of its own that shows its token; absent: one that shows none, for all devices. */
  readonly connections?: number
  /** Messages a second; absent: as many as go. */
  readonly rate?: number
  /** Seconds after which no more are sent, and what is not acknowledged a little later is left. */
  readonly seconds?: number
  /** Every so many messages one has a value that a rule raises an alert for, of another device each time. */
  readonly alarmEvery?: number
  /** The last message has such a value. */
  readonly alarmLast?: boolean
}

export interface Published {
  /** When the alarming messages left, epoch milliseconds by name of their device. */
  readonly alarms: Readonly<Record<string, number>>
  readonly sent: number
  readonly acknowledged: number
  readonly seconds: number
}

const frame = (topic: string, payload: string, id: number): Buffer => {
  const [topicBytes, payloadBytes] = [Buffer.byteLength(topic), Buffer.byteLength(payload)]
  const length = 2 + topicBytes + 2 + payloadBytes
  const bytes = Buffer.allocUnsafe(3 + length)
  bytes[0] = 0x32
  // Always two bytes of length, which Mosquitto and aedes read for short packets too.
  bytes[1] = (length & 0x7f) | 0x80
  bytes[2] = length >> 7
  bytes.writeUInt16BE(topicBytes, 3)
  bytes.write(topic, 5)
  bytes.writeUInt16BE(id, 5 + topicBytes)
  bytes.write(payload, 7 + topicBytes)
  return bytes
}

const open = async (port: number, token: string | undefined): Promise<Socket> => {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true })
  await once(socket, "connect")
  socket.write(
    mqtt.generate({
      ...{ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0 },
      clientId: `publisher-${process.pid}-${performance.now()}`,
      ...(token === undefined ? {} : { username: token })
    })
  )
  const [connack] = (await once(socket, "data")) as [Buffer]
  if (connack[3] !== 0) throw new Error(`The broker refused ${token}: ${connack[3]}`)
  return socket
}

interface Line {
  readonly socket: Socket
  sent: number
  acknowledged: number
  /** Bytes of a PUBACK that has not come whole. */
  odd: number
}

/** Frames that one connection writes at once. */
const most = 500

const publish = async (job: Job): Promise<Published> => {
  const lines: Array<Line> = []
  for (let place = 0; place < (job.connections ?? 1); place++) {
    const socket = await open(job.port, job.connections === undefined ? undefined : tokenOf(place))
    lines.push({ socket, sent: 0, acknowledged: 0, odd: 0 })
  }
  const devices = job.connections ?? job.devices
  const sending = { ...job, devices }
  const topics = Array.from(
    { length: devices },
    (_, place) => `${job.prefix}mahalla/${job.tenant}/${deviceName(place)}/telemetry`
  )
  const began = performance.now()
  const elapsed = () => (performance.now() - began) / 1000
  let acknowledged = 0
  const alarms: Record<string, number> = {}
  const outcome = await new Promise<Published>((resolve, reject) => {
    const sum = () => lines.reduce((all, { sent }) => all + sent, 0)
    const end = () => {
      clearInterval(beat)
      resolve({ alarms, sent: sum(), acknowledged, seconds: elapsed() })
    }
    const more = (line: Line, place: number) => {
      if (elapsed() > (job.seconds ?? Infinity)) return
      const share = (total: number) => Math.floor(total / lines.length) + (place < total % lines.length ? 1 : 0)
      const due = share(Math.min(job.count, Math.floor(elapsed() * (job.rate ?? Infinity))))
      const frames: Array<Buffer> = []
      while (line.sent < due && line.sent - line.acknowledged < job.window && frames.length < most) {
        const turn = line.sent * lines.length + place
        const { body, device } = readingOf(sending, job.from + turn)
        if (job.alarmEvery !== undefined && turn % job.alarmEvery === 0 && alarms[deviceName(device)] === undefined) {
          body.values["p"] = 99
          alarms[deviceName(device)] = Date.now()
        }
        if (job.alarmLast === true && turn === job.count - 1) body.values["p"] = 99
        frames.push(frame(topics[device]!, JSON.stringify(body), (line.sent % 65_535) + 1))
        line.sent++
      }
      if (frames.length > 0) line.socket.write(Buffer.concat(frames))
    }
    lines.forEach((line, place) => {
      line.socket.on("data", (piece: Buffer) => {
        // Nothing but PUBACKs of four bytes comes back.
        line.odd += piece.length
        line.acknowledged += line.odd >> 2
        acknowledged += line.odd >> 2
        line.odd &= 3
        if (acknowledged === job.count) return end()
        more(line, place)
      })
      line.socket.on("error", reject)
      line.socket.on("close", () => reject(new Error(`A connection was closed after ${acknowledged} of ${job.count}`)))
    })
    const beat = setInterval(() => {
      lines.forEach(more)
      if (
        job.seconds !== undefined &&
        (elapsed() > job.seconds + 15 || (elapsed() > job.seconds && acknowledged === sum()))
      )
        end()
    }, 2)
    lines.forEach(more)
  })
  for (const { socket } of lines) socket.removeAllListeners("close").destroy()
  return outcome
}

process.on("message", (job: Job) => {
  void publish(job).then(
    (published) => process.send?.(published),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})
process.on("disconnect", () => process.exit(0))
process.send?.({})
