/** A simulator for tests, and the suite's hand on its side. */
import { type Authority, Host, type Plugin } from "@mahalla/core/plugin"
import { AuthorityControl, type FakeCallbacks, fakeCallbacks, hostOutward } from "@mahalla/core/testing"
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll } from "vitest"

const script = fileURLToPath(new URL("../simulator.ts", import.meta.url))

export const secret = "a secret of the tests of asbt, not for use"

const folders: Array<string> = []
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A folder that goes when the test file has run. */
export const temporary = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "mahalla-asbt-"))
  folders.push(folder)
  return folder
}

export interface Simulator {
  readonly url: string
  readonly process: ChildProcess
}

export const start = async (data: string, ...args: ReadonlyArray<string>): Promise<Simulator> => {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, "--data", data, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ASBT_SECRET: secret }
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

export interface Opening {
  readonly networks?: ReadonlyArray<string>
  readonly mode?: "dev" | "production"
  readonly callbacks?: FakeCallbacks
  readonly home?: string
}

/** The plugin's port, as the engine opens it. */
export const provided = (plugin: Plugin, { callbacks, home, mode = "dev", networks = ["127.0.0.1"] }: Opening = {}) => {
  const folder = home ?? temporary()
  return plugin.layer.pipe(
    Layer.provide(Layer.succeed(Host, { instance: plugin.instance, home: folder, scratch: folder, mode })),
    Layer.provide((callbacks ?? fakeCallbacks()).layer),
    Layer.provide(hostOutward(networks))
  ) as Layer.Layer<Authority, unknown>
}

export const admin = async (url: string, path: string, body: unknown = {}): Promise<unknown> => {
  const response = await fetch(`${url}/sandbox/${path}`, { method: "POST", body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

export const effectsOf = async (url: string) =>
  (await admin(url, "effects")) as Record<string, { readonly effects: number; readonly asked: number }>

export const control = (url: string): AuthorityControl["Service"] => {
  const next: Array<string> = []
  return AuthorityControl.of({
    next: (fault) =>
      Effect.promise(async () => {
        next.splice(0, Infinity, fault)
        await admin(url, "faults", { next })
      }),
    settle: Effect.promise(() => admin(url, "settle")),
    review: (number) => Effect.promise(() => admin(url, "review", { number })),
    decide: (number, fine) =>
      Effect.promise(() =>
        admin(url, "decisions", {
          number,
          ...(fine === undefined ? {} : { fine: { amount: String(fine.amount), currency: fine.currency } })
        })
      ),
    effects: (number) => Effect.promise(async () => (await effectsOf(url))[number]?.effects ?? 0)
  })
}

/** An address that the simulator can call, in front of the plugin: as the engine's `/v1/callbacks`. */
export const openCallbacks = async (): Promise<FakeCallbacks & { readonly server: Server }> => {
  const server = createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const callbacks = fakeCallbacks(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/callbacks/asbt`)
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const parts: Array<Buffer> = []
    request.on("data", (part: Buffer) => parts.push(part))
    request.on("end", () => {
      const asked = { headers: request.headers as Record<string, string>, body: Buffer.concat(parts) }
      void Effect.runPromise(callbacks.call(asked)).then(({ body, status }) => response.writeHead(status).end(body))
    })
  })
  return { ...callbacks, server }
}
