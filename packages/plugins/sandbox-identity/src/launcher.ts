/**
 * The plugin's own simulator: started with the first question, ended with the plugin, and with the whole process when that one is killed.
 */
import { IdentityCheckError } from "@mahalla/core/plugin"
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SandboxConfig } from "./config.ts"

const Ready = Schema.fromJsonString(Schema.Struct({ port: Schema.Int, pid: Schema.Int }))
const decodeReady = Schema.decodeUnknownSync(Ready)

const unavailable = (cause: unknown) =>
  new IdentityCheckError({
    reason: "Unavailable",
    operation: "start",
    subject: "simulator",
    message: "The simulated register did not start. Ask again; the cause says what Node.js said.",
    retryable: true,
    cause
  })

interface Running {
  readonly url: string
  readonly child: ChildProcess
}

const alive = ({ child }: Running) => child.exitCode === null && child.signalCode === null

const launch = async ({ faults = {}, seed }: SandboxConfig, signal: AbortSignal): Promise<Running> => {
  const script = new URL(import.meta.url.endsWith(".ts") ? "./simulator.ts" : "./simulator.js", import.meta.url)
  const rates = Object.entries(faults).map(([name, rate]) => `${name}=${rate}`)
  const args = [fileURLToPath(script), "--with-parent", "--seed", String(seed), "--faults", rates.join(",")]
  // It needs none of our secrets.
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...args], {
    stdio: ["pipe", "pipe", "ignore"],
    windowsHide: true,
    env: { PATH: process.env["PATH"], SystemRoot: process.env["SystemRoot"] }
  })
  const end = () => void child.kill("SIGKILL")
  signal.addEventListener("abort", end)
  const line = await new Promise<string>((succeed, reject) => {
    createInterface(child.stdout).once("line", succeed)
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`It ended with ${code}.`)))
  })
  signal.removeEventListener("abort", end)
  child.stdout.destroy()
  return { url: `http://127.0.0.1:${decodeReady(line).port}`, child }
}

/** The address of a living simulator; another one is started when it was killed. Until the scope closes. */
export const ownSimulator = (
  config: SandboxConfig
): Effect.Effect<Effect.Effect<string, IdentityCheckError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const one = yield* Semaphore.make(1)
    let running: Running | undefined
    yield* Effect.addFinalizer(() => Effect.sync(() => running?.child.kill("SIGTERM")))
    return one.withPermits(1)(
      Effect.suspend(() =>
        running !== undefined && alive(running)
          ? Effect.succeed(running)
          : Effect.tryPromise({ try: (signal) => launch(config, signal), catch: unavailable }).pipe(
              Effect.timeoutOrElse({
                duration: 15_000,
                orElse: () => Effect.fail(unavailable(new Error("It did not say its port within 15 s.")))
              }),
              Effect.tap((made) => Effect.sync(() => void (running = made)))
            )
      ).pipe(Effect.map(({ url }) => url))
    )
  })
