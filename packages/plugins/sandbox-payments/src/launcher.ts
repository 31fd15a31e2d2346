/**
 * The plugin's own simulator: one process per data file, which outlives us when we are killed and is found again at the next start.
 */
import { PaymentsError } from "@mahalla/core/plugin"
import { spawn } from "node:child_process"
import { mkdir, open, readFile, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { SandboxConfig } from "./config.ts"
import { call } from "./wire.ts"

export interface Running {
  readonly url: string
  readonly pid: number
}

export interface Ensured extends Running {
  /** Whether it is ours to stop: we started it, or whoever did is gone. Else somebody is paying through it beside us. */
  readonly ours: boolean
}

/** Ends by itself after this long without a request; the next payment starts it again on the same file. */
const idle = 600_000
const State = Schema.fromJsonString(Schema.Struct({ port: Schema.Int, pid: Schema.Int, data: Schema.String }))
const Health = Schema.Struct({ pid: Schema.Int, data: Schema.String })
const decodeState = Schema.decodeUnknownEffect(State)
const isHealth = Schema.is(Health)

const ownerFile = (home: string) => `${dataFile(home)}.owner`

/** The living process that stops the simulator when it closes. */
const ownerOf = (home: string): Effect.Effect<number | undefined> =>
  Effect.tryPromise(async () => {
    const pid = Number(await readFile(ownerFile(home), "utf8"))
    process.kill(pid, 0)
    return pid
  }).pipe(Effect.catch(() => Effect.succeed(undefined)))

const own = (home: string) => Effect.ignore(Effect.tryPromise(() => writeFile(ownerFile(home), String(process.pid))))

const unavailable = (message: string, cause?: unknown) =>
  new PaymentsError({
    reason: "Unavailable",
    operation: "start",
    subject: "simulator",
    message: `${message} See simulator.log in the plugin's folder.`,
    retryable: true,
    ...(cause === undefined ? {} : { cause })
  })

const dataFile = (home: string) => resolve(home, "payments.ndjson")

/** The simulator that works on this home's file, if one is alive. */
export const findSimulator = (home: string): Effect.Effect<Running | undefined> =>
  Effect.gen(function* () {
    const text = yield* Effect.tryPromise(() => readFile(`${dataFile(home)}.state.json`, "utf8"))
    const { port, pid } = yield* decodeState(text)
    const url = `http://127.0.0.1:${port}`
    const reply = yield* call(`${url}/sandbox/health`, { method: "GET", timeout: 1_000 })
    // Another program may have got the port of a dead simulator.
    const alive = reply.type === "answer" && isHealth(reply.body) && reply.body.pid === pid
    return alive && reply.body.data === dataFile(home) ? { url, pid } : undefined
  }).pipe(Effect.catch(() => Effect.succeed(undefined)))

const launch = (home: string, config: SandboxConfig): Effect.Effect<void, PaymentsError> =>
  Effect.tryPromise({
    try: async () => {
      await mkdir(home, { recursive: true })
      const log = await open(join(home, "simulator.log"), "a", 0o600)
      const script = new URL(import.meta.url.endsWith(".ts") ? "./simulator.ts" : "./simulator.js", import.meta.url)
      const args = ["--data", dataFile(home), "--currency", config.currency, "--idle", String(idle)]
      // A session of its own: what stops us must not stop it before our last request. It needs none of our secrets.
      const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", fileURLToPath(script), ...args], {
        detached: true,
        stdio: ["ignore", "pipe", log.fd],
        windowsHide: true,
        env: { PATH: process.env["PATH"], SystemRoot: process.env["SystemRoot"] }
      })
      const { stdout } = child
      const ready = new Promise<void>((succeed, reject) => {
        if (stdout !== null) createInterface(stdout).once("line", () => succeed())
        child.once("error", reject)
        // 3: another process was faster on the same file; it will be found.
        child.once("exit", (code) => (code === 3 ? succeed() : reject(new Error(`It ended with ${code}.`))))
      })
      await ready.finally(() => void log.close())
      stdout?.destroy()
      child.unref()
    },
    catch: (cause) => unavailable("The payment simulator did not start.", cause)
  }).pipe(
    Effect.timeoutOrElse({
      duration: 15_000,
      orElse: () => Effect.fail(unavailable("The payment simulator did not start within 15 s."))
    })
  )

/** Finds the running simulator or starts one, and gives it the configured faults. */
export const ensureSimulator = Effect.fn("SandboxPayments.ensureSimulator")(function* (
  home: string,
  config: SandboxConfig
): Effect.fn.Return<Ensured, PaymentsError> {
  const attempt = Effect.gen(function* () {
    const found = yield* findSimulator(home)
    if (found !== undefined) return found
    yield* launch(home, config)
    yield* own(home)
    return (yield* findSimulator(home)) ?? (yield* unavailable("The payment simulator is not to be found."))
  })
  const running = yield* attempt.pipe(Effect.retry({ times: 10, schedule: Schedule.spaced(250) }))
  const { faults: rates, seed } = config
  if (rates !== undefined || seed !== undefined)
    yield* call(`${running.url}/sandbox/faults`, { method: "PUT", timeout: 2_000, body: { rates, seed } })
  const owner = yield* ownerOf(home)
  if (owner === undefined) yield* own(home)
  return { ...running, ours: owner === undefined || owner === process.pid }
})

/** Ends the simulator of this home in order and waits until it is gone; its payments stay in the file. */
export const stopSimulator = (home: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const running = yield* findSimulator(home)
    if (running === undefined) return
    yield* Effect.try({ try: () => process.kill(running.pid, "SIGTERM"), catch: (cause) => cause })
    yield* findSimulator(home).pipe(
      Effect.filterOrFail((found) => found === undefined),
      Effect.retry({ times: 20, schedule: Schedule.spaced(100) })
    )
  }).pipe(Effect.ignore)
