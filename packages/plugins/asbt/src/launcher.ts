/**
 * The plugin's own sandbox: started with the first call, ended with the plugin, and with the whole process when that one is killed. Its book
 * stays in the plugin's folder.
 */
import { AuthorityError } from "@mahalla/core/plugin"
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Endpoint } from "./Asbt.ts"
import type { AsbtConfig } from "./config.ts"

const Ready = Schema.fromJsonString(Schema.Struct({ port: Schema.Int, pid: Schema.Int }))
const decodeReady = Schema.decodeUnknownSync(Ready)

const unavailable = (cause: unknown) =>
  new AuthorityError({
    reason: "Unavailable",
    operation: "start",
    subject: "simulator",
    message: "The simulated authority did not start. Try again; the cause says what Node.js said.",
    retryable: true,
    cause
  })

interface Running extends Endpoint {
  readonly child: ChildProcess
}

const alive = ({ child }: Running) => child.exitCode === null && child.signalCode === null

const launch = async (
  home: string,
  secret: string,
  { decide, faults = {}, seed }: AsbtConfig["sandbox"],
  signal: AbortSignal
): Promise<Running> => {
  const script = new URL(import.meta.url.endsWith(".ts") ? "./simulator.ts" : "./simulator.js", import.meta.url)
  const rates = Object.entries(faults).map(([name, rate]) => `${name}=${rate}`)
  const args = ["--data", join(home, "filings.ndjson"), "--with-parent", "--decide", String(decide)]
  const more = ["--seed", String(seed), "--faults", rates.join(",")]
  // Of our secrets it needs the one of both.
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", fileURLToPath(script), ...args, ...more],
    {
      stdio: ["pipe", "pipe", "ignore"],
      windowsHide: true,
      env: { PATH: process.env["PATH"], SystemRoot: process.env["SystemRoot"], ASBT_SECRET: secret }
    }
  )
  const end = () => void child.kill("SIGKILL")
  signal.addEventListener("abort", end)
  const line = await new Promise<string>((succeed, reject) => {
    createInterface(child.stdout).once("line", succeed)
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`It ended with ${code}.`)))
  })
  signal.removeEventListener("abort", end)
  child.stdout.destroy()
  return { url: `http://127.0.0.1:${decodeReady(line).port}`, secret, child }
}

export interface OwnSandbox {
  readonly secret: string
  /** Of a living simulator; another one is started when it was killed. */
  readonly endpoint: Effect.Effect<Endpoint, AuthorityError>
}

/** Until the scope closes. */
export const ownSandbox = (
  home: string,
  config: AsbtConfig["sandbox"]
): Effect.Effect<OwnSandbox, never, Scope.Scope> =>
  Effect.gen(function* () {
    const secret = randomBytes(32).toString("hex")
    const one = yield* Semaphore.make(1)
    let running: Running | undefined
    yield* Effect.addFinalizer(() => Effect.sync(() => running?.child.kill("SIGTERM")))
    const endpoint = one.withPermits(1)(
      Effect.suspend(() =>
        running !== undefined && alive(running)
          ? Effect.succeed<Endpoint>(running)
          : Effect.tryPromise({ try: (signal) => launch(home, secret, config, signal), catch: unavailable }).pipe(
              Effect.timeoutOrElse({
                duration: 15_000,
                orElse: () => Effect.fail(unavailable(new Error("It did not say its port within 15 s.")))
              }),
              Effect.tap((made) => Effect.sync(() => void (running = made)))
            )
      )
    )
    return { secret, endpoint }
  })
