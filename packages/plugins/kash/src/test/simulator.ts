/** A simulator for tests, the suite's hand on its side, and what the engine gives a plugin. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import {
  Host,
  type HostCallbacks,
  HostOutward,
  type OutwardRequest,
  type Payments,
  type Plugin
} from "@mahalla/core/plugin"
import { type FakeCallbacks, fakeCallbacks, hostOutward, type PaymentsControl } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll } from "vitest"
import { kash, type KashConfig, kashSimulator } from "../index.ts"

export const key = "sandbox-key-sandbox"
export const callbackSecret = "sandbox-callback-secret"

const folders: Array<string> = []
const running: Array<ChildProcess> = []
const servers: Array<ReturnType<typeof createServer>> = []
afterAll(async () => {
  await Promise.all(running.splice(0).map((child) => stop({ process: child })))
  for (const server of servers.splice(0)) server.close().closeAllConnections()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A folder that goes when the test file has run. */
export const temporary = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "mahalla-kash-"))
  folders.push(folder)
  return folder
}

export interface Simulator {
  readonly url: string
  readonly process: ChildProcess
  /** What it has written to its standard error. */
  readonly log: () => string
}

/** Ends with the test file, if not before. */
export const start = async (data: string, ...args: ReadonlyArray<string>): Promise<Simulator> => {
  const program = ["--disable-warning=ExperimentalWarning", kashSimulator, "--data", data, "--key", key, ...args]
  const child = spawn(process.execPath, program, { stdio: ["pipe", "pipe", "pipe"] })
  running.push(child)
  let log = ""
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()))
  const line = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve)
    child.once("exit", (code) => reject(new Error(`the simulator ended with ${code}`)))
  })
  const { port } = JSON.parse(await line) as { port: number }
  return { url: `http://127.0.0.1:${port}`, process: child, log: () => log }
}

export const stop = async (
  { process }: Pick<Simulator, "process">,
  signal: NodeJS.Signals = "SIGTERM"
): Promise<void> => {
  if (process.exitCode !== null || process.signalCode !== null) return
  const gone = once(process, "exit")
  process.kill(signal)
  await gone
}

/** The city's address for callbacks, on the wire: what comes is handed to the plugin. */
export const callbackDoor = async (): Promise<FakeCallbacks & { readonly url: string }> => {
  const fake = fakeCallbacks()
  const server = createServer((request, response) => {
    const parts: Array<Buffer> = []
    request.on("data", (part: Buffer) => parts.push(part))
    request.on("end", () => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      const came = { method: request.method as "POST", path: "", headers, body: Buffer.concat(parts) }
      void Effect.runPromise(fake.call(came)).then(({ body, status }) => response.writeHead(status).end(body))
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return { ...fake, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }
}

export interface Around {
  readonly callbacks?: Layer.Layer<HostCallbacks>
  readonly mode?: "dev" | "production"
  /** Hears every request before it leaves. */
  readonly capture?: (request: OutwardRequest) => void
}

/** The plugin's ports, as the engine opens them. */
export const opened = (plugin: Plugin, { callbacks = fakeCallbacks().layer, capture, mode = "dev" }: Around = {}) => {
  const outward = Layer.effect(
    HostOutward,
    Effect.map(HostOutward, (real) =>
      HostOutward.of({
        post: (request) =>
          Effect.andThen(
            Effect.sync(() => capture?.(request)),
            real.post(request)
          )
      })
    )
  ).pipe(Layer.provide(hostOutward(["127.0.0.0/8"])))
  const host = Layer.succeed(Host, { instance: plugin.instance, home: "/nowhere", scratch: "/nowhere", mode })
  return plugin.layer.pipe(Layer.provide([host, outward, callbacks])) as Layer.Layer<Payments, unknown>
}

export const rail = (url: string, config: Partial<typeof KashConfig.Encoded> = {}, around?: Around) =>
  opened(kash({ url, key, callbackSecret, timeout: 1_500, ...config }), around)

export const admin = async (url: string, method: string, path: string, body?: unknown): Promise<unknown> => {
  const response = await fetch(`${url}/sandbox/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

export const effectsOf = async (url: string) => (await admin(url, "GET", "effects")) as Record<string, number>

export const control = (url: string): PaymentsControl["Service"] => ({
  next: (fault) => Effect.promise(() => admin(url, "PUT", "faults", { next: [fault] })),
  settle: Effect.promise(() => admin(url, "POST", "settle")),
  giveBack: (id) => Effect.promise(() => admin(url, "POST", `returns/${id}`)),
  effects: (id) => Effect.promise(async () => (await effectsOf(url))[id] ?? 0),
  hint: (id) => Effect.promise(() => admin(url, "POST", `hints/${id}`))
})
