/**
 * One run of a foreign program on a hostile file: an argument list and no shell, nothing on stdin, an almost empty environment, a
 * process group of its own, and an end in any case. `effect/process` would do the spawning too, but is not stable yet and needs a
 * platform layer that a plugin may not ask for.
 */
import { spawn, type ChildProcess } from "node:child_process"
import * as Effect from "effect/Effect"

export interface Program {
  readonly path: string
  /** Programs in front that lower its rights and then become it: `setpriv … prlimit … nice …`. */
  readonly guard: ReadonlyArray<string>
}

export interface Run {
  readonly program: Program
  readonly args: ReadonlyArray<string>
  /** Relative outputs land here. */
  readonly cwd?: string
  /** Milliseconds. */
  readonly timeout: number
  /** Hears stdout as it comes instead of its being kept. */
  readonly onOutput?: (text: string) => void
  /** Characters of stdout that are kept; past them the program is stopped. Default 1 MiB. */
  readonly maxOutput?: number
}

export interface Finished {
  /** null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  /** The first and last of what it said on stderr; a broken file makes it say the same a million times. */
  readonly words: string
  /** It said more on stdout than allowed, and was stopped. */
  readonly overflowed: boolean
  readonly timeout: number
}

/** The program did not start, or was stopped for taking too long. */
export type RunFailure =
  { readonly _tag: "NotStarted"; readonly cause: Error } | { readonly _tag: "TimedOut"; readonly timeout: number }

const environment = () => ({
  LC_ALL: "C",
  AV_LOG_FORCE_NOCOLOR: "1",
  ...(process.platform === "win32" ? { SystemRoot: process.env.SystemRoot } : {})
})

/** Kills the whole group: ffmpeg and whatever it may have started. */
const kill = (child: ChildProcess) => {
  if (child.pid === undefined) return
  try {
    if (process.platform === "win32") child.kill("SIGKILL")
    else process.kill(-child.pid, "SIGKILL")
  } catch {
    // Gone already.
  }
}

const headAndTail = (limit: number) => {
  let head = ""
  let tail = ""
  return {
    add: (text: string) => {
      const room = limit - head.length
      if (room > 0) head += text.slice(0, room)
      if (text.length > room) tail = (tail + text.slice(Math.max(0, room))).slice(-limit)
    },
    text: () => head + tail
  }
}

/** Runs a program to its end. It is gone, with its group, whenever the effect has ended: by success, time-out or interruption. */
export const run = (request: Run): Effect.Effect<Finished, RunFailure> =>
  Effect.callback<Finished, RunFailure>((resume) => {
    const [file, ...guards] = [...request.program.guard, request.program.path]
    const child = spawn(file, [...guards, ...request.args], {
      stdio: ["ignore", "pipe", "pipe"],
      detached: process.platform !== "win32",
      windowsHide: true,
      env: environment(),
      ...(request.cwd === undefined ? {} : { cwd: request.cwd })
    })
    const limit = request.maxOutput ?? 1024 * 1024
    const words = headAndTail(8192)
    let output = ""
    let overflowed = false
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (request.onOutput !== undefined) return request.onOutput(text)
      if (output.length + text.length <= limit) output += text
      else {
        overflowed = true
        kill(child)
      }
    })
    child.stderr.setEncoding("utf8").on("data", words.add)
    child.once("error", (cause) => resume(Effect.fail({ _tag: "NotStarted", cause })))
    child.once("close", (code, signal) => {
      kill(child)
      resume(Effect.succeed({ code, signal, output, words: words.text(), overflowed, timeout: request.timeout }))
    })
    return Effect.callback<void>((gone) => {
      const done = () => {
        child.stdout.destroy()
        child.stderr.destroy()
        gone(Effect.void)
      }
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return done()
      child.once("exit", done)
      kill(child)
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: request.timeout,
      orElse: () => Effect.fail<RunFailure>({ _tag: "TimedOut", timeout: request.timeout })
    })
  )
