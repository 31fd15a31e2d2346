/**
 * The way to the centre, for as long as the plugin is open: binds, binds again with growing, jittered pauses after every loss, and hands
 * out the bound session.
 */
import { readFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { connect as connectSecurely } from "node:tls"
import type { PluginHealth } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type { SmsSmppConfig } from "./config.ts"
import { command, encodeBind, type Pdu, status } from "./pdu.ts"
import { Session } from "./Session.ts"

export type BindAs = "transceiver" | "transmitter" | "receiver"

export interface Link {
  /** The bound session, as soon as there is one. */
  readonly session: Effect.Effect<Session>
  /** Why there is none; `Unauthorized` where the centre does not want us. */
  readonly trouble: () => { readonly reason: "Unauthorized" | "Unavailable"; readonly message: string } | undefined
  readonly health: () => PluginHealth
}

class NotBound extends Error {
  readonly reason: "Unauthorized" | "Unavailable"
  constructor(reason: "Unauthorized" | "Unavailable", message: string) {
    super(message)
    this.reason = reason
  }
}

const refusals = new Set<number>([status.bindFailed, status.invalidPassword, status.invalidSystemId])

const open = async ({ authority, host, port, tls }: SmsSmppConfig): Promise<Socket> => {
  const ca = authority === undefined ? undefined : await readFile(authority)
  return new Promise((resolve, reject) => {
    const socket = tls
      ? connectSecurely({ host, port, servername: host, ...(ca === undefined ? {} : { ca }) }, () => resolve(socket))
      : connect({ host, port }, () => resolve(socket))
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer in 10 s")))
    socket.once("error", reject)
    socket.once("connect", () => socket.setTimeout(0))
  })
}

const longest = 30_000

export const makeLink = Effect.fnUntraced(function* (
  config: SmsSmppConfig,
  as: BindAs,
  onDeliver: (pdu: Pdu) => Promise<number>
) {
  const bound = yield* Latch.make(false)
  let current: Session | undefined
  let trouble: { readonly reason: "Unauthorized" | "Unavailable"; readonly message: string } | undefined = {
    reason: "Unavailable",
    message: "It has not connected yet."
  }

  const bind = Effect.tryPromise({
    try: async (signal) => {
      const socket = await open(config)
      const pulse = config.pulse * 1_000
      const session = new Session(socket, { pulse, patience: config.patience * 1_000, onDeliver })
      signal.addEventListener("abort", () => session.close("stopped"))
      const { password, systemId, systemType } = config
      const body = encodeBind({ system_id: systemId, password: Redacted.value(password), system_type: systemType })
      const answer = await session.request(command[`bind_${as}`], body).catch((error: Error) => {
        session.close(error.message)
        throw error
      })
      if (answer.status === status.ok) return session
      session.close("not bound")
      const said = `The centre answered the bind with status ${answer.status}.`
      throw new NotBound(refusals.has(answer.status) ? "Unauthorized" : "Unavailable", said)
    },
    catch: (cause) =>
      cause instanceof NotBound
        ? cause
        : new NotBound("Unavailable", cause instanceof Error ? cause.message : String(cause))
  })

  /** One life of a connection. */
  const live = Effect.acquireUseRelease(
    bind,
    (session) =>
      Effect.gen(function* () {
        current = session
        trouble = undefined
        yield* bound.open
        const reason = yield* Effect.promise(() => session.ended)
        yield* Effect.logWarning(`SMS centre ${config.host}: ${reason}`)
      }),
    (session) =>
      Effect.gen(function* () {
        yield* bound.close
        current = undefined
        trouble = { reason: "Unavailable", message: "The connection was lost." }
        yield* Effect.promise(() => session.unbind())
      })
  )

  let losses = 0
  const keepUp = Effect.gen(function* () {
    const error = yield* live.pipe(
      Effect.tap(() => Effect.sync(() => void (losses = 0))),
      Effect.as(undefined),
      Effect.catch((failed) => Effect.succeed(failed))
    )
    if (error !== undefined) {
      trouble = { reason: error.reason, message: error.message }
      yield* Effect.logWarning(`SMS centre ${config.host}: ${error.message}`)
    }
    // Somebody whose password is wrong must not be locked out for trying too often.
    const pause = error?.reason === "Unauthorized" ? longest : Math.min(longest, 250 * 2 ** Math.min(losses++, 10))
    yield* Effect.sleep((yield* Random.nextBetween(0.5, 1)) * pause)
  })
  yield* Effect.forkScoped(Effect.forever(keepUp))

  const session: Effect.Effect<Session> = Effect.flatMap(bound.await, () =>
    Effect.suspend(() =>
      current === undefined || current.isOver ? Effect.andThen(Effect.yieldNow, session) : Effect.succeed(current)
    )
  )
  return {
    session,
    trouble: () => trouble,
    health: () => (trouble === undefined ? { status: "up" } : { status: "down", detail: trouble.message })
  } satisfies Link
})
