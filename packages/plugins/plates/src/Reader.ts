/**
 * The reader's process as the server sees it: started for the first request, asked one request at a time, killed when a request is given
 * up, ended when idle. Nothing of a picture ever enters the server's own memory.
 */
import { type ChildProcess, fork } from "node:child_process"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { fileURLToPath } from "node:url"
import type { Answer, Question } from "./protocol.ts"

/** The process ended or did not start. */
export class ReaderGone extends Data.TaggedError("ReaderGone")<{
  readonly message: string
  readonly cause?: unknown
}> {}

export interface Reader {
  /** Interrupting it kills the process. */
  readonly ask: (question: Omit<Question, "id">) => Effect.Effect<Answer, ReaderGone>
  /** Its process id while it runs. */
  readonly pid: Effect.Effect<number | undefined>
}

/** Beside this file, compiled or not. */
const program = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url))

const start = (path: string): ChildProcess => {
  const child = fork(path, [], {
    // Flags of the server or of a test runner are none of its business; nor is the server's environment, which holds secrets.
    execArgv: ["--disable-warning=ExperimentalWarning", "--max-old-space-size=192"],
    env: {
      PATH: process.env["PATH"],
      SystemRoot: process.env["SystemRoot"],
      UV_THREADPOOL_SIZE: "2",
      MALLOC_ARENA_MAX: "2"
    },
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    serialization: "json"
  })
  // A failing process is reported to whoever asks it; between two requests nobody needs to know.
  child.on("error", () => {})
  return child
}

/** Only while it is asked something does the process keep the server alive. */
const hold = (child: ChildProcess, on: boolean) => {
  child[on ? "ref" : "unref"]()
  child.channel?.[on ? "ref" : "unref"]()
}

/** A reader for as long as the scope lives. `path` is the program to run; the plugin's own by default. */
export const makeReader = Effect.fnUntraced(function* (options: { readonly idle: number; readonly path?: string }) {
  const one = yield* Semaphore.make(1)
  let child: ChildProcess | undefined
  let rest: NodeJS.Timeout | undefined
  let asked = 0

  const end = () => {
    clearTimeout(rest)
    child?.kill("SIGKILL")
    child = undefined
  }
  yield* Effect.addFinalizer(() => Effect.sync(end))

  const ask = (question: Omit<Question, "id">) =>
    Effect.callback<Answer, ReaderGone>((resume) => {
      clearTimeout(rest)
      const id = ++asked
      const running = (child ??= start(options.path ?? program))
      hold(running, true)
      const stop = () => {
        hold(running, false)
        running.off("message", said)
        running.off("exit", gone)
        running.off("error", gone)
      }
      const gone = (why: unknown) => {
        stop()
        if (child === running) end()
        const message = why instanceof Error ? why.message : `it ended with ${String(why ?? "a signal")}`
        resume(Effect.fail(new ReaderGone({ message, cause: why })))
      }
      const said = (answer: Answer) => {
        if (answer.id !== id) return
        stop()
        rest = setTimeout(end, options.idle)
        rest.unref()
        resume(Effect.succeed(answer))
      }
      running.on("message", said)
      running.once("exit", gone)
      running.once("error", gone)
      running.send({ id, ...question } satisfies Question, (error) => {
        if (error !== null) gone(error)
      })
      return Effect.sync(() => {
        stop()
        if (child === running) end()
      })
    })

  return {
    ask: (question) => one.withPermits(1)(ask(question)),
    pid: Effect.sync(() => child?.pid)
  } satisfies Reader as Reader
})
