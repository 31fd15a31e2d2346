/** A simulator for tests, and the suite's hand on its side. */
import { Host, type IdentityCheck, type Plugin } from "@mahalla/core/plugin"
import { hostOutward, IdentityCheckControl, IdentityCheckPeople } from "@mahalla/core/testing"
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const script = fileURLToPath(new URL("../simulator.ts", import.meta.url))

export interface Simulator {
  readonly url: string
  readonly process: ChildProcess
}

export const start = async (...args: ReadonlyArray<string>): Promise<Simulator> => {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, ...args], {
    stdio: ["pipe", "pipe", "inherit"]
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

/** The plugin's port, as the engine opens it in a city with these `outwardNetworks`. */
export const provided = (
  plugin: Plugin,
  networks: ReadonlyArray<string> = ["127.0.0.1"],
  mode: "dev" | "production" = "dev"
) =>
  plugin.layer.pipe(
    Layer.provide(Layer.succeed(Host, { instance: plugin.instance, home: "/nowhere", scratch: "/nowhere", mode })),
    Layer.provide(hostOutward(networks))
  ) as Layer.Layer<IdentityCheck, unknown>

const admin = async (url: string, method: string, path: string, body?: unknown): Promise<unknown> => {
  const response = await fetch(`${url}/sandbox/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`)
  return response.json()
}

export const control = (url: string): IdentityCheckControl["Service"] =>
  IdentityCheckControl.of({
    next: (fault) => Effect.promise(() => admin(url, "PUT", "faults", { next: [fault] })),
    asked: (id) => Effect.promise(async () => ((await admin(url, "GET", "asked")) as Record<string, number>)[id] ?? 0)
  })

const known = { number: "31207901234567", birthDate: "1990-07-12" }
export const people = IdentityCheckPeople.of({
  known,
  other: { number: "41503921234567", birthDate: "1992-03-15" },
  stranger: { number: "33112991230001", birthDate: "1999-12-31" },
  mistaken: { ...known, birthDate: "1991-07-12" },
  gone: { number: "30101501230002", birthDate: "1950-01-01" }
})
