/**
 * One connection to an outside broker, MQTT 5: from CONNECT to its end. Messages of QoS 1 are acknowledged when they are committed; pings
 * go on whatever the database does, so that the broker does not take us for dead and deliver everything again.
 */
import { connect as connectTcp, isIP, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import mqtt, {
  type IConnackPacket,
  type IConnectPacket,
  type IPublishPacket,
  type ISubackPacket,
  type Packet
} from "mqtt-packet"
import { frameGuard } from "../frames.ts"
import { acknowledgements } from "./acknowledgements.ts"

/** PEM. */
export interface Certificates {
  /** Authorities that may have signed the broker's certificate; undefined for those that Node.js trusts. */
  readonly authority?: string
  /** Who we are, where the broker asks. */
  readonly certificate?: string
  readonly key?: string
}

/** Throws where certificate and key do not fit together. */
const overTls = (host: string, port: number, { authority, certificate, key }: Certificates): Socket =>
  connectTls({
    host,
    port,
    // A name only: RFC 6066 has no addresses there. Node compares an address with those in the certificate by itself.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(authority === undefined ? {} : { ca: authority }),
    ...(certificate === undefined ? {} : { cert: certificate, key })
  })

export interface ConnectionSettings {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Undefined without TLS. */
  readonly tls: Certificates | undefined
  readonly connect: Omit<IConnectPacket, "cmd" | "protocolVersion" | "protocolId" | "keepalive">
  readonly filters: ReadonlyArray<string>
  /** Bytes of the largest packet that the broker may send. */
  readonly maxPacket: number
}

export interface ConnectionEvents {
  /** The broker has let us in and takes our subscriptions. */
  readonly ready: () => void
  /** `settle` is called when the message is committed, or with a reason code of PUBACK where it never will be. */
  readonly message: (packet: IPublishPacket, settle: (reasonCode?: number) => void) => void
  /** After each piece that was read: false stops reading until `resume`. */
  readonly hasRoom: () => boolean
  /** Once. `why` in words for the operator; `rival`: another client has our name, and would be thrown out in turn. */
  readonly closed: (why: string, rival: boolean) => void
}

export interface Connection {
  /** Publishes with QoS 1: the broker's reason code (MQTT 5, 3.4.2.1); undefined where the connection ended before it came. */
  readonly publish: (topic: string, payload: Buffer, retain: boolean) => Promise<number | undefined>
  readonly resume: () => void
  /** Says goodbye after everything that was written. */
  readonly end: () => void
  readonly destroy: () => void
}

const v5 = { protocolVersion: 5 } as const
/** What a broker retains it has delivered before. */
const doNotSendRetained = 2
/** Seconds; a broker that says nothing for longer than this is gone. */
const keepalive = 30

const takenOver = 0x8e
/** What the operator must know of a refusal: the names of MQTT 5, section 2.4. */
const reasons: Readonly<Record<number, string>> = {
  0x84: "it does not speak MQTT 5",
  0x85: "it does not take this client id",
  0x86: "user name or password are wrong",
  0x87: "we are not authorised",
  0x88: "it is not available",
  [takenOver]: "another client uses the same client id; give every process one of its own",
  0x95: "a packet was too large",
  0x97: "a quota is exceeded",
  0x9e: "it has no shared subscriptions"
}
export const why = (code: number | undefined): string => reasons[code ?? 0] ?? `reason 0x${(code ?? 0).toString(16)}`

export const openConnection = (settings: ConnectionSettings, on: ConnectionEvents): Connection => {
  const { connect, filters, host, port, tls } = settings
  const socket: Socket = tls === undefined ? connectTcp({ host, port, noDelay: true }) : overTls(host, port, tls)
  const parser = mqtt.parser(v5)
  const admitted = frameGuard(settings.maxPacket, settings.maxPacket)
  const published = new Map<number, (reasonCode?: number) => void>()
  let lastId = 0
  let heardSince = true
  let rival = false
  let reason = "the connection broke off"

  const send = (packet: Packet) => {
    if (!socket.destroyed) socket.write(mqtt.generate(packet, v5))
  }
  const fail = (words: string) => {
    reason = words
    socket.destroy()
  }
  const acks = acknowledgements((packets) => {
    if (!socket.destroyed) socket.write(packets)
  })

  const letIn = ({ reasonCode }: IConnackPacket) => {
    if (reasonCode !== 0) return fail(`the broker refused: ${why(reasonCode)}`)
    const subscriptions = filters.map((topic) => ({ topic, qos: 1 as const, rh: doNotSendRetained }))
    send({ cmd: "subscribe", messageId: 65_535, subscriptions })
  }
  const subscribed = ({ granted }: ISubackPacket) => {
    const refused = granted.findIndex((code) => Number(code) >= 0x80)
    if (refused !== -1)
      return fail(`the broker refused to subscribe to ${filters[refused]}: ${why(Number(granted[refused]))}`)
    on.ready()
  }
  const receive = (packet: Packet) => {
    switch (packet.cmd) {
      case "connack":
        return letIn(packet)
      case "suback":
        return subscribed(packet)
      case "publish":
        return on.message(packet, packet.qos === 0 ? () => undefined : acks.expect(packet.messageId!))
      case "puback": {
        const { messageId = 0, reasonCode = 0 } = packet
        published.get(messageId)?.(reasonCode)
        return void published.delete(messageId)
      }
      case "disconnect":
        rival = packet.reasonCode === takenOver
        return fail(`the broker ended it: ${why(packet.reasonCode)}`)
      default:
        return undefined
    }
  }

  parser.on("packet", receive)
  parser.on("error", (error: Error) => fail(`the broker sent what is no MQTT 5: ${error.message}`))
  socket.once(tls === undefined ? "connect" : "secureConnect", () =>
    send({ ...connect, cmd: "connect", protocolId: "MQTT", protocolVersion: 5, keepalive })
  )
  socket.on("data", (piece: Buffer) => {
    heardSince = true
    if (!admitted(piece)) return fail("the broker sent a larger packet than it was asked for")
    parser.parse(piece)
    if (!on.hasRoom()) socket.pause()
  })
  const pulse = setInterval(() => {
    // While we do not read we cannot hear.
    if (!heardSince && !socket.isPaused()) return fail(`the broker said nothing for ${keepalive} seconds`)
    heardSince = false
    send({ cmd: "pingreq" })
  }, keepalive * 500)
  // OpenSSL's own words stand in `reason`; its message is for those who read its sources.
  socket.on("error", (error: Error & { readonly reason?: string }) => (reason = error.reason ?? error.message))
  socket.once("close", () => {
    clearInterval(pulse)
    for (const hear of published.values()) hear()
    on.closed(reason, rival)
  })

  return {
    publish: (topic, payload, retain) =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve(undefined)
        do lastId = (lastId % 65_534) + 1
        while (published.has(lastId))
        published.set(lastId, resolve)
        send({ cmd: "publish", qos: 1, dup: false, retain, topic, payload, messageId: lastId })
      }),
    resume: () => void socket.resume(),
    end: () => {
      acks.flush()
      if (!socket.destroyed) socket.end(mqtt.generate({ cmd: "disconnect", reasonCode: 0 }, v5))
    },
    destroy: () => void socket.destroy()
  }
}
