/**
 * A simulator for tests, and the suite's hand on its side.
 */
import { Host, type Payments, type Plugin } from "@mahalla/core/plugin"
import { PaymentsControl } from "@mahalla/core/testing"
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export const script = fileURLToPath(new URL("../simulator.ts", import.meta.url))

export interface Simulator {
  readonly url: string
  readonly process: ChildProcess
}

export const start = async (data: string, ...args: ReadonlyArray<string>): Promise<Simulator> => {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, "--data", data, ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const line = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve)
    child.once("exit", (code) => reject(new Error(`the simulator ended with ${code}`)))
  })
  const { port } = JSON.parse(await line) as { port: number }
  return { url: `http://127.0.0.1:${port}`, process: child }
}

export const stop = async ({ process }: Simulator, signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
  if (process.exitCode !== null || process.signalCode !== null) return
  const gone = once(process, "exit")
  process.kill(signal)
  await gone
}

/** The plugin's ports, as the engine opens them. */
export const provided = (plugin: Plugin, home: string, mode: "dev" | "production" = "dev") =>
  plugin.layer.pipe(
    Layer.provide(Layer.succeed(Host, { instance: plugin.instance, home, scratch: home, mode }))
  ) as Layer.Layer<Payments, unknown>

export const admin = async (url: string, method: string, path: string, body?: unknown): Promise<unknown> => {
  const response = await fetch(`${url}/sandbox/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

export const effectsOf = async (url: string) =>
  (await admin(url, "GET", "effects")) as Record<string, { readonly effects: number; readonly asked: number }>

export const control = (url: string): PaymentsControl["Service"] =>
  PaymentsControl.of({
    next: (fault) => Effect.promise(() => admin(url, "PUT", "faults", { next: [fault] })),
    settle: Effect.promise(() => admin(url, "POST", "settle")),
    giveBack: (id) => Effect.promise(() => admin(url, "POST", `returns/${id}`)),
    effects: (id) => Effect.promise(async () => (await effectsOf(url))[id]?.effects ?? 0)
  })
