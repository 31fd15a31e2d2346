/** A Mosquitto of the test's own, with its clients. */
import { spawn, type ChildProcess } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import { ensureService } from "./debian.ts"
import { freePort } from "./port.ts"

export const { programs } = await ensureService("mosquitto")

export const answers = async (port: number) => {
  for (let tries = 0; tries < 400; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1")
      socket.once("error", () => resolve(false))
      socket.once("connect", () => {
        socket.destroy()
        resolve(true)
      })
    })
    if (open) return
    await sleep(25)
  }
  throw new Error(`Nobody listens on port ${port}.`)
}

/** Ends a process and waits until it is gone. */
export const end = (child: ChildProcess, signal: NodeJS.Signals) =>
  new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill(signal)
  })

/** `extra`: lines of mosquitto.conf. `folder` has `mosquitto.db`, what it remembers over a restart. Its queue is long: by default Mosquitto drops what exceeds 1,000 messages. */
export const mosquitto = (extra: ReadonlyArray<string> = []) =>
  Effect.gen(function* () {
    const port = yield* Effect.promise(freePort)
    const folder = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-mosquitto-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const file = join(folder, "mosquitto.conf")
    const lines = [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
      "persistence true",
      `persistence_location ${folder}/`,
      "max_queued_messages 1000000",
      ...(process.getuid?.() === 0 ? ["user root"] : []),
      ...extra,
      ""
    ]
    yield* Effect.promise(() => writeFile(file, lines.join("\n")))
    let running: ChildProcess | undefined
    const start = Effect.promise(async () => {
      running = spawn(programs["mosquitto"]!, ["-c", file], { stdio: "ignore" })
      await answers(port)
    })
    const stop = (signal: NodeJS.Signals) =>
      Effect.promise(async () => {
        if (running !== undefined) await end(running, signal)
      })
    yield* Effect.acquireRelease(start, () => stop("SIGKILL"))
    return { folder, port, url: `mqtt://127.0.0.1:${port}`, start, stop }
  })
