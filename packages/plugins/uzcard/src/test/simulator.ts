/** A simulator for tests, the suite's hand on its side, and what the engine gives a plugin. */
import { type ChildProcess, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { Host, HostOutward, type OutwardRequest, type Payments, type Plugin } from "@mahalla/core/plugin"
import { hostOutward, type PaymentsControl } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, expect } from "vitest"
import { uzcard, type UzcardConfig, uzcardSimulator } from "../index.ts"

export const user = "sandbox"
export const password = "sandbox-password"

const folders: Array<string> = []
const running: Array<ChildProcess> = []
afterAll(async () => {
  await Promise.all(running.splice(0).map((child) => stop({ process: child })))
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A folder that goes when the test file has run. */
export const temporary = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "mahalla-uzcard-"))
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
  const program = [
    "--disable-warning=ExperimentalWarning",
    uzcardSimulator,
    "--data",
    data,
    "--user",
    user,
    "--password",
    password,
    ...args
  ]
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

export interface Around {
  readonly mode?: "dev" | "production"
  /** Hears every request before it leaves. */
  readonly capture?: (request: OutwardRequest) => void
}

/** The plugin's ports, as the engine opens them. */
export const opened = (plugin: Plugin, { capture, mode = "dev" }: Around = {}) => {
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
  return plugin.layer.pipe(Layer.provide([host, outward])) as Layer.Layer<Payments, unknown>
}

export const rail = (url: string, config: Partial<typeof UzcardConfig.Encoded> = {}, around?: Around) =>
  opened(
    uzcard({
      url: `${url}/api/jsonrpc`,
      user,
      password,
      merchantId: "90050017182",
      terminalId: "91419475",
      sender: "Town of Samarkand",
      timeout: 1_500,
      ...config
    }),
    around
  )

export const admin = async (url: string, method: string, path: string, body?: unknown): Promise<unknown> => {
  const response = await fetch(`${url}/sandbox/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

export const effectsOf = async (url: string) => (await admin(url, "GET", "effects")) as Record<string, number>

/** A card of nobody's that obeys the check digit. */
export const cardNumber = (): string => {
  const digits = `8600${String(randomInt(10 ** 11)).padStart(11, "0")}`
  const sum = [...digits].reduce((total, digit, place) => {
    const value = Number(digit) * (place % 2 === 0 ? 2 : 1)
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return `${digits}${(10 - (sum % 10)) % 10}`
}

/** What the page's form does with what was typed into it. */
export const submit = async (form: string, step: "card" | "code", typed: Record<string, string>): Promise<Response> => {
  const shown = await fetch(form)
  expect(await shown.text()).toContain(`action="${new URL(form).pathname}/${step}"`)
  return fetch(`${form}/${step}`, { method: "POST", body: new URLSearchParams(typed), redirect: "manual" })
}

/** A person with a card; gives what the population register has of them. */
export const fillIn = async (url: string, form: string, number = cardNumber()): Promise<string> => {
  expect((await submit(form, "card", { number, expiry: "12/29" })).status).toBe(200)
  const id = form.slice(form.lastIndexOf("/") + 1)
  const { code, token } = (await admin(url, "GET", `forms/${id}`)) as { readonly code: string; readonly token: string }
  const done = await submit(form, "code", { code })
  expect([done.status, done.headers.get("location")]).toEqual([303, "https://city.example/cards"])
  return ((await admin(url, "GET", `cards/${token}`)) as { readonly pinfl: string }).pinfl
}

export const control = (url: string): PaymentsControl["Service"] => ({
  next: (fault) => Effect.promise(() => admin(url, "PUT", "faults", { next: [fault] })),
  settle: Effect.promise(() => admin(url, "POST", "settle")),
  giveBack: (id) => Effect.promise(() => admin(url, "POST", `returns/${id}`)),
  effects: (id) => Effect.promise(async () => (await effectsOf(url))[id] ?? 0),
  fillIn: (form) => Effect.promise(() => fillIn(url, form))
})
