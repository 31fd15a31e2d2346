/** A simulator as a process of its own, for as long as the scope lasts, and the hand on its other side. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"

export interface Simulator {
  readonly port: number
  readonly ask: <A>(method: string, path: string, body?: unknown) => Promise<A>
  /** Ends it and starts it again, on the same port and its file. */
  readonly restart: (signal?: NodeJS.Signals) => Promise<void>
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
  readonly start: () => Promise<void>
}

export const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "mahalla-sms-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]

/** Starts a script that prints one line of JSON when it is ready. */
export const spawned = async (script: string, ...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, [...flags, script, ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve)
    child.once("exit", (code) => reject(new Error(`${script} ended with ${code}`)))
  })
  return { child, said: JSON.parse(line) as { readonly port: number; readonly control: number } }
}

export const endOf = async (child: ChildProcess, signal: NodeJS.Signals) => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.kill(signal)
  await gone
}

export const simulator = (path: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const folder = yield* temporary
    const script = fileURLToPath(new URL(path, import.meta.url))
    let running: Awaited<ReturnType<typeof spawned>> | undefined
    const start = async (port = 0) => {
      running = await spawned(script, "--data", join(folder, "data.ndjson"), "--port", String(port), ...args)
    }
    const stop = async (signal: NodeJS.Signals = "SIGKILL") => {
      if (running !== undefined) await endOf(running.child, signal)
    }
    yield* Effect.acquireRelease(
      Effect.promise(() => start()),
      () => Effect.promise(() => stop())
    )
    const { port } = running!.said
    return {
      port,
      ask: async <A>(method: string, at: string, body?: unknown): Promise<A> => {
        const response = await fetch(`http://127.0.0.1:${running!.said.control}${at}`, {
          method,
          ...(body === undefined ? {} : { body: JSON.stringify(body) })
        })
        if (!response.ok) throw new Error(`${method} ${at}: ${await response.text()}`)
        return (await response.json()) as A
      },
      stop,
      start: () => start(port),
      restart: async (signal) => {
        await stop(signal)
        await start(port)
      }
    } satisfies Simulator
  })
