/** One device on its socket: hello, messages, and the count of what is committed. */
import type { Socket } from "node:net"
import {
  countRefusal,
  type DeviceCommand,
  type DeviceSession,
  type IngestCommands,
  type IngestSessions,
  type Intake
} from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type { Frame, Framer } from "./framers/Framer.ts"

export interface City {
  readonly intake: Intake
  readonly sessions: IngestSessions
  readonly commands: IngestCommands
  readonly maxPayload: number
  readonly run: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}

export interface Connection {
  /** Ends it when the device has been silent, or has not finished what it began, for too long. */
  readonly look: (now: number) => void
  /** Reads nothing more. */
  readonly stop: () => void
  /** Says what is committed and hangs up. */
  readonly end: () => void
  readonly socket: Socket
}

/** Messages of one connection that may wait for their commit. */
const window = 512
/** Milliseconds for the hello, and for a frame from its first byte to its last: who sends drop by drop holds a place for nothing. */
const patience = 15_000

export const openConnection = (socket: Socket, framer: Framer, topic: string, idle: number, city: City): Connection => {
  const framing = framer.open(city.maxPayload)
  const { run } = city
  let session: DeviceSession | undefined
  let knocking = false
  let taken = 0
  let committed = 0
  let told = 0
  let stopped = false
  let heardAt = city.now()
  /** When the frame under way began; the hello begins with the connection. */
  let begunAt: number | undefined = heardAt
  const early: Array<Frame> = []
  /** It has asked whether we are there. */
  let asked = false

  const refuse = (reason: "credential" | "size" | "frame") => {
    run(countRefusal("tcp", reason))
    stopped = true
    socket.end(framer.refuse)
    socket.destroySoon()
  }
  const acknowledge = () => {
    if (told === committed || !socket.writable) return
    told = committed
    socket.write(framer.acknowledge(committed))
  }
  /** Who does not read what we answer is not read either. */
  const mayRead = () =>
    !stopped && !knocking && !socket.writableNeedDrain && taken - committed < window && city.intake.hasRoom()
  const readOn = () => {
    if (mayRead()) socket.resume()
  }
  const hold = () => {
    if (mayRead()) return
    socket.pause()
    if (!city.intake.hasRoom()) city.intake.whenRoom(readOn)
  }

  const letIn = (known: DeviceSession) => {
    session = known
    const { command } = framer
    const leave =
      command === undefined
        ? () => undefined
        : city.commands.reach(known.deviceId, (asked: DeviceCommand) =>
            // The protocol does not say that a command has arrived; the device's answer does.
            Effect.sync(() => void socket.write(command(asked))).pipe(Effect.as(undefined))
          )
    socket.once("close", () => {
      leave()
      run(city.sessions.close(known))
    })
    socket.write(framer.acknowledge(0))
  }
  const knock = (token: string) =>
    city.sessions
      .open({ kind: "token", token }, () => socket.destroy())
      .pipe(
        Effect.flatMap((known) => (socket.destroyed ? city.sessions.close(known) : Effect.sync(() => letIn(known)))),
        Effect.catch(({ reason }) =>
          // A city that is away says nothing of the device.
          Effect.sync(() => (reason === "Unavailable" ? void socket.destroy() : refuse("credential")))
        ),
        Effect.andThen(
          Effect.sync(() => {
            knocking = false
            for (const frame of early.splice(0)) take(frame)
            readOn()
          })
        )
      )

  const take = (frame: Frame): void => {
    if (stopped) return
    if (knocking) return void early.push(frame)
    switch (frame.kind) {
      case "hello":
        knocking = true
        return void run(knock(frame.token))
      case "broken":
        return refuse(frame.reason)
      case "alive":
        asked = true
        return
      case "answer":
        if (session !== undefined) run(city.commands.answer(session.deviceId, frame.id, frame.state))
        return
      case "message":
        if (session === undefined) return
        taken++
        city.intake.take(
          { from: { session }, topic, payload: frame.payload, format: framer.format, receivedAt: city.now() },
          () => {
            // Messages of one sender hear in their order, so the count says which they are.
            if (committed++ === told) setImmediate(acknowledge)
            readOn()
          }
        )
    }
  }

  socket.on("data", (piece: Buffer) => {
    if (stopped) return
    heardAt = city.now()
    const frames = framing.read(piece)
    begunAt = framing.begun() ? (frames.length > 0 ? heardAt : (begunAt ?? heardAt)) : undefined
    for (const frame of frames) take(frame)
    if (asked && !stopped) socket.write(framer.acknowledge(committed))
    asked = false
    hold()
  })
  socket.on("drain", readOn)
  socket.on("error", () => socket.destroy())

  return {
    socket,
    look: (now) => {
      // Who waits for us is not silent.
      if (socket.isPaused() || taken > committed) return
      if (now - heardAt > idle || (begunAt !== undefined && now - begunAt > patience)) socket.destroy()
    },
    stop: () => {
      stopped = true
      socket.pause()
    },
    end: () => {
      acknowledge()
      socket.resume().end()
    }
  }
}
