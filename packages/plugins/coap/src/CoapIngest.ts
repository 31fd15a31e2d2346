/** Readings in CoAP requests (RFC 7252): a device hears 2.04 when they are committed. */
import { createSocket } from "node:dgram"
import { isIPv6 } from "node:net"
import {
  countRefusal,
  DeviceIngestError,
  type IngestHost,
  type IngestListener,
  type IngestOutcome,
  makeIngestSessions,
  makeIntake
} from "@mahalla/core/plugin"
import type { ParsedPacket } from "coap-packet"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import { makeBlocks } from "./blocks.ts"
import type { CoapConfig } from "./config.ts"
import { type Answer, makeExchanges } from "./exchange.ts"
import { type Route, routeOf } from "./route.ts"
import { makeTokens } from "./tokens.ts"

/** After this a device hears 5.03 and sends again later, although its message may be committed in the meantime. */
const patience = "60 seconds"
/** Max-Age of 5.03: seconds after which a device should try again. */
const later: Answer = { code: "5.03", options: [{ name: "Max-Age", value: Buffer.from([30]) }] }
/** RFC 9175. It has no name in `coap-packet`, which gives its number as a text. */
const requestTag = "292"

const valuesOf = ({ options }: ParsedPacket, name: string) =>
  options.filter((option) => String(option.name) === name).map(({ value }) => value)

const contentFormatOf = (packet: ParsedPacket): number | undefined => {
  const [value] = valuesOf(packet, "Content-Format")
  return value?.reduce((number, byte) => number * 256 + byte, 0)
}

const open = (host: string, port: number) =>
  Effect.callback<ReturnType<typeof createSocket>, DeviceIngestError>((resume) => {
    const socket = createSocket({ type: isIPv6(host) ? "udp6" : "udp4", recvBufferSize: 4 * 1_024 * 1_024 })
    const refused = (cause: Error) =>
      resume(
        Effect.fail(
          new DeviceIngestError({
            reason: "InvalidRequest",
            operation: "serve",
            subject: `${host}:${port}`,
            message: `CoAP cannot use ${host}:${port} (${cause.message}). Choose another port in the configuration.`,
            retryable: false,
            cause
          })
        )
      )
    socket.once("error", refused)
    socket.bind(port, host, () => {
      socket.off("error", refused)
      socket.on("error", () => undefined)
      resume(Effect.succeed(socket))
    })
  })

export const serveCoap = (
  { host: address = "127.0.0.1", port = 5_683 }: CoapConfig,
  host: IngestHost
): Effect.Effect<IngestListener, DeviceIngestError, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    let closed = false
    const socket = yield* Effect.acquireRelease(open(address, port), (bound) =>
      Effect.callback<void>((resume) => {
        closed = true
        exchanges.close()
        // A datagram leaves in the turn after it was sent.
        setImmediate(() => bound.close(() => resume(Effect.void)))
      })
    )
    const run = yield* FiberSet.makeRuntime<never, void>()
    const sessions = yield* makeIngestSessions(host)
    const intake = yield* makeIntake("coap", host)
    const sessionOf = yield* makeTokens(sessions)
    const assemble = makeBlocks(host.maxPayload)
    let stopped = false

    const committed = ({ format, token, topic }: Extract<Route, { kind: "message" }>, payload: Uint8Array) =>
      Effect.flatMap(sessionOf(token), (session) =>
        Effect.callback<IngestOutcome>((resume) =>
          intake.take({ from: { session }, topic, payload, format, receivedAt: now() }, (outcome) =>
            resume(Effect.succeed(outcome))
          )
        )
      )

    const take = (route: Extract<Route, { kind: "message" }>, payload: Uint8Array): Effect.Effect<Answer> =>
      committed(route, payload).pipe(
        Effect.timeoutOption(patience),
        Effect.map((outcome): Answer => {
          if (outcome._tag === "None") return later
          return { code: "2.04", words: outcome.value.state === "stored" ? undefined : outcome.value.reason }
        }),
        Effect.catch(({ reason }) =>
          reason === "Unavailable"
            ? Effect.succeed(later)
            : Effect.as(countRefusal("coap", "credential"), { code: "4.01" } satisfies Answer)
        )
      )

    const answer = (packet: ParsedPacket, from: string, say: (answer: Answer) => void): void => {
      if (stopped) return
      const path = valuesOf(packet, "Uri-Path").map(String)
      const queries = valuesOf(packet, "Uri-Query").map(String)
      const route = routeOf(packet.code, path, queries, contentFormatOf(packet))
      if (route.kind === "refused") return say({ code: route.code })
      if (!intake.hasRoom()) return say(later)
      const [option] = valuesOf(packet, "Block1")
      // Three bytes at most: what is longer is refused, and would make an answer that fits into no datagram.
      const echo = option === undefined || option.length > 3 ? [] : [{ name: "Block1" as const, value: option }]
      const key = [from, ...path, ...queries, ...valuesOf(packet, requestTag).map((tag) => tag.toString("hex"))].join(
        "/"
      )
      const whole =
        option === undefined
          ? { whole: packet.payload }
          : assemble({ key, option, payload: packet.payload, now: now() })
      if ("code" in whole) return say({ code: whole.code, options: echo })
      if (whole.whole.byteLength > host.maxPayload) {
        run(countRefusal("coap", "size"))
        return say({ code: "4.13" })
      }
      const payload = whole.whole
      run(Effect.map(take(route, payload), (said) => say({ ...said, options: [...echo, ...(said.options ?? [])] })))
    }

    const exchanges = makeExchanges(
      (datagram, to) => {
        const at = to.lastIndexOf(" ")
        if (!closed) socket.send(datagram, Number(to.slice(at + 1)), to.slice(0, at))
      },
      answer,
      now
    )
    socket.on("message", (datagram, from) => {
      // Nothing can be sent to port 0; only a forger sends from there.
      if (from.port !== 0) exchanges.hear(datagram, `${from.address} ${from.port}`)
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => void (stopped = true)))
    return { addresses: [`coap://${isIPv6(address) ? `[${address}]` : address}:${socket.address().port}`] }
  })
