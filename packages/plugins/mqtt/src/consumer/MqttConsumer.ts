/**
 * Messages of an outside broker (Mosquitto, EMQX, VerneMQ): the broker keeps them until the city has committed them, also while the city is
 * away. Its access rules vouch for the names in topics.
 */
import { readFile } from "node:fs/promises"
import { createSecureContext } from "node:tls"
import {
  type CommandState,
  type DeviceCommand,
  DeviceIngestError,
  type IngestHost,
  type IngestListener,
  makeIngestCommands,
  makeIntake,
  countRefusal,
  type PluginHealth
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { IPublishPacket } from "mqtt-packet"
import { answerOf } from "../answers.ts"
import { filtersOf, routeOfBroker, type Sources, takesCommand } from "../topics.ts"
import type { MqttConsumerConfig } from "./config.ts"
import { type Certificates, type Connection, openConnection, why } from "./connection.ts"

/** Topic and properties of a PUBLISH beside its payload. */
const overhead = 4_096
const again = Schedule.jittered(Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("15 seconds")]))

/** Reason codes of PUBACK (MQTT 5, 3.4.2.1): the broker does not send it again. */
const topicInvalid = 0x90
const quotaExceeded = 0x97
/** Nobody listens, nor has a session that messages are kept for. A broker need not say so. */
const noSubscribers = 0x10

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value))

export const serveConsumer = (
  config: MqttConsumerConfig,
  host: IngestHost,
  health: (state: PluginHealth) => void
): Effect.Effect<IngestListener, DeviceIngestError, Scope.Scope> =>
  Effect.gen(function* () {
    const { clientId, password, share, sparkplugHost, user } = config
    const clock = yield* Clock.Clock
    const { kinds = ["mahalla"], prefix = "", tenant, tenants } = config
    const sources: Sources = { kinds, prefix, tenant, tenants }
    const answers = `${sources.prefix}mahalla/+/+/answer`
    const { hostname, port, protocol } = new URL(config.url)
    const secure = protocol === "mqtts:"
    const tls = secure ? yield* readCertificates(config) : undefined
    const stateTopic = sparkplugHost === undefined ? undefined : `${sources.prefix}spBv1.0/STATE/${sparkplugHost}`
    let current: Connection | undefined
    let stopped = false
    let gone = () => undefined as void

    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        const open = current
        if (open === undefined) return resume(Effect.void)
        gone = () => resume(Effect.void)
        open.end()
      }).pipe(Effect.timeoutOption("1 second"), Effect.andThen(Effect.sync(() => current?.destroy())))
    )
    const run = yield* FiberSet.makeRuntime<never, void>()
    const intake = yield* makeIntake("mqtt", host)
    const commands = yield* makeIngestCommands(host)

    const hearAnswer = ({ payload, topic }: IPublishPacket, deviceIds: ReadonlyMap<string, string>) => {
      const heard = answerOf(payload)
      const deviceId = heard === undefined ? undefined : deviceIds.get(topic)
      return heard === undefined || deviceId === undefined
        ? Effect.void
        : commands.answer(deviceId, heard.id, heard.state)
    }

    /** Which device answers on which topic, of those that were asked something. */
    const asked = new Map<string, string>()
    const handOver = ({ device, deviceId, id, method, params, raw, tenant }: DeviceCommand) =>
      Effect.promise(async (): Promise<CommandState | undefined> => {
        const topic = `${sources.prefix}mahalla/${tenant}/${device}`
        asked.set(`${topic}/answer`, deviceId)
        if (asked.size > 10_000) asked.delete(asked.keys().next().value!)
        const payload = raw === undefined ? bytes({ id, method, params }) : Buffer.from(raw.payload)
        const to = raw === undefined ? `${topic}/command` : `${sources.prefix}${raw.topic}`
        const code = current === undefined ? noSubscribers : await current.publish(to, payload, false)
        if (code === noSubscribers) return { state: "queued" }
        if (code !== undefined && code >= 0x80)
          return { state: "failed", message: `The broker refused it: ${why(code)}.` }
        // The broker has it, or may have it; of the device nothing is known.
        return undefined
      })

    const state = (online: boolean, timestamp: number) => bytes({ online, timestamp })

    const message = (packet: IPublishPacket, settle: (reasonCode?: number) => void) => {
      if (stopped) return
      const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
      if (packet.topic.endsWith("/answer"))
        return void run(Effect.ensuring(hearAnswer(packet, asked), Effect.sync(settle)))
      const route = routeOfBroker(sources, packet.topic, payload)
      const reasonCode = route === undefined ? topicInvalid : quotaExceeded
      if (route === undefined || payload.byteLength > host.maxPayload) {
        settle(reasonCode)
        return void run(
          Effect.andThen(
            countRefusal("mqtt", route === undefined ? "topic" : "size"),
            Effect.logDebug(
              `mqtt: a message of ${payload.byteLength} bytes on ${packet.topic.slice(0, 200)} was refused`
            )
          )
        )
      }
      const receivedAt = clock.currentTimeMillisUnsafe()
      // Networks know nothing of what stands before their topics here.
      intake.take({ ...route, topic: packet.topic.slice(sources.prefix.length), payload, receivedAt }, () => settle())
    }

    /** Until a connection has ended; fails where the next one must wait longer. */
    const once = Effect.callback<void, DeviceIngestError>((resume) => {
      let served = false
      const born = clock.currentTimeMillisUnsafe()
      let leave = () => undefined as void
      const connection = openConnection(
        {
          host: hostname.replaceAll(/^\[|\]$/g, ""),
          port: Number(port) || (secure ? 8_883 : 1_883),
          tls,
          filters: [...filtersOf(sources, share), answers],
          maxPacket: host.maxPayload + overhead,
          connect: {
            clientId,
            clean: false,
            ...(user === undefined ? {} : { username: user }),
            ...(password === undefined ? {} : { password: Buffer.from(Redacted.value(password)) }),
            ...(stateTopic === undefined
              ? {}
              : { will: { topic: stateTopic, payload: state(false, born), qos: 1 as const, retain: true } }),
            properties: {
              sessionExpiryInterval: (config.keepFor ?? 24) * 3_600,
              receiveMaximum: Math.min(2 * host.maxBatch, 65_535),
              maximumPacketSize: host.maxPayload + overhead
            }
          }
        },
        {
          ready: () => {
            served = true
            health({ status: "up" })
            leave = commands.reachAll(handOver, (command) => takesCommand(sources, command))
            if (stateTopic !== undefined) void connection.publish(stateTopic, state(true, born), true)
          },
          message,
          hasRoom: () => {
            const room = intake.hasRoom()
            if (!room) intake.whenRoom(() => connection.resume())
            return room
          },
          closed: (words, rival) => {
            leave()
            current = undefined
            gone()
            health({ status: "down", detail: words })
            resume(
              served && !rival ? Effect.logWarning(sentence(config.url, words)) : Effect.fail(away(config.url, words))
            )
          }
        }
      )
      current = connection
      // Interrupted at the scope's end: what is committed until then is still to be acknowledged.
      return Effect.void
    })

    yield* Effect.suspend(() => (stopped ? Effect.never : once)).pipe(
      Effect.tapError(({ message: words }) => Effect.logWarning(words)),
      Effect.retry(again),
      Effect.andThen(Effect.sleep("250 millis")),
      Effect.forever,
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        stopped = true
        const open = current
        if (open === undefined || stateTopic === undefined) return Effect.void
        const offline = state(false, clock.currentTimeMillisUnsafe())
        return Effect.promise(() => open.publish(stateTopic, offline, true)).pipe(Effect.timeoutOption("1 second"))
      })
    )
    return { addresses: [] }
  })

const sentence = (url: string, words: string) =>
  `The MQTT broker at ${url} does not serve us: ${words}. It is tried again.`

const away = (url: string, words: string) =>
  new DeviceIngestError({
    reason: "Unavailable",
    operation: "serve",
    subject: url,
    message: sentence(url, words),
    retryable: true
  })

const unfit = (subject: string, message: string, cause: unknown) =>
  new DeviceIngestError({ reason: "InvalidRequest", operation: "serve", subject, message, retryable: false, cause })

const read = (path: string, what: string) =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) =>
      unfit(path, `The ${what} at ${path} cannot be read. Correct the path in the configuration.`, cause)
  })

/** Read once: a file that is changed is used after a restart. */
const readCertificates = Effect.fnUntraced(function* ({ authority, client }: MqttConsumerConfig) {
  const certificates: Certificates = {
    ...(authority === undefined ? {} : { authority: yield* read(authority, "authority") }),
    ...(client === undefined
      ? {}
      : { certificate: yield* read(client.certificate, "certificate"), key: yield* read(client.key, "key") })
  }
  yield* Effect.try({
    try: () => {
      createSecureContext({ ca: certificates.authority, cert: certificates.certificate, key: certificates.key })
    },
    catch: (cause) =>
      unfit(
        client?.certificate ?? authority ?? "tls",
        "Certificate and key do not fit together or are no PEM. Correct the files.",
        cause
      )
  })
  return certificates
})
