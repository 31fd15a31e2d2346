/**
 * A broker of the city's own, on aedes (MQTT 3.1 and 3.1.1). Devices send to the city and hear its commands; they hear nothing of each
 * other, nothing is retained, and no session outlives its connection.
 *
 * aedes answers a PUBLISH of QoS 1 with PUBACK when `authorizePublish` has called back, and one of QoS 2 with PUBREC: so that call waits
 * for the commit. It reads on when every packet of what it has read is answered, which bounds what each connection can have under way.
 */
import { Aedes, type Client } from "aedes"
import type { Duplex } from "node:stream"
import {
  type CommandState,
  type DeviceIngestError,
  type DeviceCommand,
  type DeviceSession,
  type IngestHost,
  type IngestListener,
  makeIngestCommands,
  makeIngestSessions,
  makeIntake
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { MqttConfig } from "../config.ts"
import { type CommandStyle, commandTopicOf, isIn, routeOfDevice } from "../topics.ts"
import { answerOf, commandPacket, gatewayAnswer } from "../answers.ts"
import { credentialOf } from "./door.ts"
import { Line } from "./line.ts"
import { openListeners } from "./listeners.ts"

/** What we know of a connection. */
interface Guest {
  readonly chain: ReadonlyArray<Uint8Array>
  readonly line: Line
  session?: DeviceSession
  leave?: () => void
  /** Where its client listens for commands. */
  readonly listens: Map<string, { readonly style: CommandStyle; readonly qos: number }>
  /** Each hears of a PUBACK; they come in the order in which commands were sent. */
  readonly unacknowledged: Array<() => void>
  /** ThingsBoard's numbers for commands that wait for an answer. */
  readonly asked: Map<string, string>
  next: number
}

/** CONNACK's return code. */
const notAuthorized = 5

type PublishPacket = Parameters<Aedes["authorizePublish"]>[1]

/** Topic and headers of a PUBLISH beside its payload. */
const overhead = 1_100

/** Ends every connection after its last acknowledgement has left; who does not take it within a second is cut off. */
const sayGoodbye = (lines: ReadonlySet<Line>) =>
  Effect.callback<void>((resume) => {
    const heard = () => {
      if (lines.size === 0) resume(Effect.void)
    }
    for (const line of lines) line.once("close", heard).end()
    heard()
  }).pipe(
    Effect.timeoutOption("1 second"),
    Effect.andThen(
      Effect.sync(() => {
        for (const line of lines) line.destroy()
      })
    )
  )

export const serveBroker = (
  config: MqttConfig,
  host: IngestHost
): Effect.Effect<IngestListener, DeviceIngestError, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const guests = new WeakMap<Duplex, Guest>()
    const lines = new Set<Line>()
    const guestOf = (client: Client | null) => (client === null ? undefined : guests.get(client.conn as Duplex))
    let stopped = false

    const aedes = yield* Effect.acquireRelease(
      Effect.promise(() =>
        Aedes.createBroker({ connectTimeout: 10_000, drainTimeout: 30_000, maxInflightInbound: 100 })
      ),
      (broker) =>
        Effect.callback<void>((resume) => {
          broker.close(() => resume(Effect.void))
        })
    )
    yield* Effect.addFinalizer(() => sayGoodbye(lines))
    const run = yield* FiberSet.makeRuntime<never, void>()
    const sessions = yield* makeIngestSessions(host)
    const intake = yield* makeIntake("mqtt", host)
    const commands = yield* makeIngestCommands(host)

    const knock = (guest: Guest, clientId: string, user: string | undefined, password: Uint8Array | undefined) =>
      Effect.gen(function* () {
        const credential = credentialOf({ clientId, user, password, chain: guest.chain })
        if (credential === undefined) return
        const session = yield* sessions.open(credential, () => guest.line.destroy())
        if (guest.line.destroyed) return yield* sessions.close(session)
        guest.session = session
        guest.line.once("close", () => {
          guest.leave?.()
          run(sessions.close(session))
        })
      }).pipe(
        Effect.catch(({ reason }) =>
          // A city that is away says nothing of the device: clients come back after a lost connection, and some never after a refusal.
          Effect.sync(() => (reason === "Unavailable" ? void guest.line.destroy() : undefined))
        )
      )

    // Before aedes knows the client by its id: ids are each device's own affair, and nobody takes over another's connection.
    aedes.preConnect = (client, packet, done) => {
      const guest = guestOf(client)
      if (guest === undefined) return done(null, false)
      const settle = Effect.sync(() => {
        packet.clientId = `${guest.session?.deviceId ?? "nobody"}/${packet.clientId}`
        packet.clean = true
        done(null, true)
      })
      run(Effect.andThen(knock(guest, packet.clientId, packet.username, packet.password), settle))
    }
    aedes.authenticate = (client, _user, _password, done) => {
      const guest = guestOf(client)
      if (guest?.session !== undefined) return done(null, true)
      done(Object.assign(new Error("not let in"), { returnCode: notAuthorized }), false)
    }

    /** Which command has this number; it is answered once. */
    const numbered = ({ asked }: Guest, number: string) => {
      const id = asked.get(number)
      asked.delete(number)
      return id
    }
    const answer = (guest: Guest, session: DeviceSession, { payload }: PublishPacket, request: string | undefined) => {
      const heard = request === undefined ? answerOf(payload) : answerOf(payload, { id: numbered(guest, request) })
      return heard === undefined ? Effect.void : commands.answer(session.deviceId, heard.id, heard.state)
    }
    const gatewaySaid = (guest: Guest, session: DeviceSession, { payload }: PublishPacket) => {
      const said = gatewayAnswer(payload)
      const id = said === undefined ? undefined : numbered(guest, said.number)
      return id === undefined
        ? Effect.void
        : commands.answer(session.deviceId, id, { state: "answered", answer: said?.answer })
    }

    aedes.authorizePublish = (client, packet, done) => {
      const guest = guestOf(client)
      const session = guest?.session
      if (guest === undefined || session === undefined) return done(new Error("no session"))
      if (stopped) return
      const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
      const route = routeOfDevice(session, packet.topic)
      packet.retain = false
      switch (route.kind) {
        case "nothing":
          return done(null)
        case "refused":
          // MQTT 3.1.1 has no other way to say no.
          run(Effect.logDebug(`mqtt: ${session.deviceId} was cut off: ${route.reason}`))
          return done(new Error(route.reason))
        case "answer":
        case "gateway-answer":
          return void run(
            Effect.andThen(
              route.kind === "answer"
                ? answer(guest, session, packet, route.request)
                : gatewaySaid(guest, session, packet),
              Effect.sync(() => done(null))
            )
          )
        case "message":
          if (payload.byteLength > host.maxPayload) return done(new Error("payload too large"))
          intake.take(
            {
              from: { session },
              topic: packet.topic,
              payload,
              format: route.format,
              receivedAt: clock.currentTimeMillisUnsafe()
            },
            () => done(null)
          )
      }
    }

    // What somebody has published is for the city alone: it is nobody's command, whoever listens on its topic. Commands have no sender.
    aedes.authorizeForward = (_client, packet) => ("clientId" in packet ? null : packet)

    aedes.authorizeSubscribe = (client, subscription, done) => {
      const session = guestOf(client)?.session
      const known = session === undefined ? undefined : commandTopicOf(session, subscription.topic)
      done(null, known === undefined ? null : subscription)
    }

    /** Where this guest listens for such a command: the device its own, a gateway those of devices behind it. */
    const earFor = ({ listens, session }: Guest, { deviceId, raw }: DeviceCommand) => {
      for (const [filter, { qos, style }] of listens) {
        const fits =
          raw === undefined
            ? style !== "raw" && (style === "gateway") === (deviceId !== session?.deviceId)
            : style === "raw" && isIn(filter, raw.topic)
        if (fits) return { filter, style, qos }
      }
      return undefined
    }

    aedes.on("subscribe", (subscriptions, client) => {
      const guest = guestOf(client)
      const session = guest?.session
      if (guest === undefined || session === undefined) return
      for (const { qos, topic } of subscriptions) {
        const style = commandTopicOf(session, topic)
        // 128: the subscription was refused.
        if (style !== undefined && style !== "silent" && qos <= 2) guest.listens.set(topic, { style, qos })
      }
      if (guest.listens.size > 0)
        guest.leave = commands.reach(
          session.deviceId,
          (command) => handOver(guest, client, command),
          (command) => earFor(guest, command) !== undefined
        )
    })
    aedes.on("unsubscribe", (filters, client) => {
      for (const filter of filters) guestOf(client)?.listens.delete(filter)
    })
    aedes.on("ack", (_packet, client) => guestOf(client)?.unacknowledged.shift()?.())

    const handOver = (guest: Guest, client: Client, command: DeviceCommand) =>
      Effect.callback<CommandState | undefined>((resume) => {
        const gone = () => resume(Effect.succeed(undefined))
        const ear = earFor(guest, command)
        if (guest.line.destroyed || ear === undefined) return gone()
        const { filter, qos, style } = ear
        const number = ++guest.next
        if (style === "thingsboard" || style === "gateway") guest.asked.set(String(number), command.id)
        guest.line.once("close", gone)
        if (qos > 0)
          guest.unacknowledged.push(() => {
            guest.line.off("close", gone)
            resume(Effect.succeed({ state: "delivered" }))
          })
        client.publish(commandPacket(command, style, filter, number, qos === 0 ? 0 : 1), () => {
          // Of QoS 0 nobody hears anything; it was sent.
          if (qos === 0) gone()
        })
      })

    const addresses = yield* openListeners(config, host.maxPayload + overhead, (stream, chain) => {
      const line = new Line(stream, {
        most: host.maxPayload + overhead,
        whenRoom: (readOn) =>
          intake.whenRoom(() => {
            if (!stopped) readOn()
          })
      })
      guests.set(line, { line, chain, listens: new Map(), unacknowledged: [], asked: new Map(), next: 0 })
      lines.add(line)
      line.once("close", () => lines.delete(line))
      line.on("error", () => undefined)
      aedes.handle(line)
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => void (stopped = true)))
    return { addresses }
  })
