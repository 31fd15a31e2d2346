/**
 * Runs codecs that somebody uploaded: in threads of their own without the server's environment, with limits on time and memory, no network,
 * no files, no clock, no state between two calls. A codec that hangs or crashes costs its thread; the next message gets another.
 */
import { Worker } from "node:worker_threads"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pool from "effect/Pool"
import type * as Scope from "effect/Scope"
import { isRecord } from "../decoding.ts"
import { type Codec, type CodecCall, CodecFailure, type Decoded, type DownlinkInput, type Encoded } from "./model.ts"
import type { UplinkInput } from "./model.ts"
import type { Answer, Outcome, Question } from "./protocol.ts"
import { makeQuarantine } from "./quarantine.ts"

const maxSource = 262_144
const maxBytes = 4_096
const threads = 2

export class CodecSandbox extends Context.Service<
  CodecSandbox,
  {
    readonly decodeUplink: (codec: Codec, input: UplinkInput) => Effect.Effect<Decoded, CodecFailure>
    readonly decodeDownlink: (codec: Codec, input: UplinkInput) => Effect.Effect<Decoded, CodecFailure>
    readonly encodeDownlink: (codec: Codec, input: DownlinkInput) => Effect.Effect<Encoded, CodecFailure>
  }
>()("@mahalla/telemetry/CodecSandbox") {}

/** Beside this file, compiled or not. */
const program = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url)

/** The thread ended, through this codec or while it made ready for another's next message. `by`: source of a codec that it could not get away from. */
class ThreadGone extends Data.TaggedError("ThreadGone")<{ readonly by?: string | undefined }> {}

const failed = (message: string) => new CodecFailure({ reason: "codec-failed", message })

const broke = failed("The codec broke its sandbox.")

/** A thread that has said it is ready. */
const startThread = Effect.acquireRelease(
  Effect.callback<Worker>((resume) => {
    const worker = new Worker(program, {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      env: {},
      // Room for the native stack under QuickJS's own limit.
      resourceLimits: { stackSizeMb: 4, maxOldGenerationSizeMb: 64 }
    })
    const gone = (why: unknown) => resume(Effect.die(new Error("The codecs' thread does not start.", { cause: why })))
    worker.once("error", gone)
    worker.once("message", () => {
      worker.off("error", gone)
      // Nobody waits for it between two questions, and whoever asked hears of its end.
      worker.on("error", () => {})
      worker.unref()
      resume(Effect.succeed(worker))
    })
    return Effect.promise(() => worker.terminate())
  }),
  (worker) => Effect.promise(() => worker.terminate())
)

/** The source that each thread has run last. */
const lastRun = new WeakMap<Worker, string>()

/** After a failure the thread is not to be asked again. `patience`, in milliseconds, is for what QuickJS cannot end. */
const ask = (worker: Worker, question: Question, patience: number) =>
  Effect.callback<Outcome, CodecFailure | ThreadGone>((resume) => {
    if (worker.threadId === -1) return resume(Effect.fail(new ThreadGone({})))
    const before = lastRun.get(worker)
    let begun = false
    worker.ref()
    const stop = () => {
      clearTimeout(timer)
      worker.unref()
      worker.off("message", said)
      worker.off("exit", gone)
    }
    const said = (answer: Answer) => {
      if ("begun" in answer) {
        begun = true
        lastRun.set(worker, question.source)
        return void timer.refresh()
      }
      stop()
      resume("broken" in answer ? Effect.fail(broke) : Effect.succeed(answer))
    }
    const gone = () => {
      stop()
      resume(Effect.fail(new ThreadGone({})))
    }
    const timer = setTimeout(() => {
      stop()
      if (!begun) return resume(Effect.fail(new ThreadGone({ by: before })))
      const message = `${question.call.function} took too long.`
      resume(Effect.fail(new CodecFailure({ reason: "codec-too-slow", message })))
    }, patience)
    worker.on("message", said)
    worker.once("exit", gone)
    worker.postMessage(question)
    return Effect.sync(stop)
  })

const strings = (value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) ? value.map((item) => String(item).slice(0, 500)).slice(0, 100) : []

/** What the function returned, without what it complains of. */
const returnedBy = (name: string, answer: Outcome): Effect.Effect<Readonly<Record<string, unknown>>, CodecFailure> => {
  if ("failed" in answer) return Effect.fail(new CodecFailure({ reason: answer.failed, message: answer.message }))
  const told = JSON.parse(answer.returned) as unknown
  // A codec may have changed how objects become JSON.
  const { returned, thrown } = isRecord(told) ? told : {}
  if (typeof thrown === "string") return Effect.fail(failed(`${name} failed: ${thrown.slice(0, 500)}`))
  if (!isRecord(returned)) return Effect.fail(failed(`${name} returned no object.`))
  const errors = strings(returned["errors"])
  return errors.length > 0
    ? Effect.fail(failed(`${name}: ${errors.join("; ").slice(0, 500)}`))
    : Effect.succeed(returned)
}

const isByte = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255

/**
 * A sandbox for as long as the scope lives; its threads start with the first call and end after a minute without one. `limit`: milliseconds
 * of the processor's time that a codec may take for a call, and once for reading its source.
 */
export const makeCodecSandbox = (
  options: { readonly limit: number } = { limit: 100 }
): Effect.Effect<CodecSandbox["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const pool = yield* Pool.makeWithTTL({ acquire: startThread, min: 0, max: threads, timeToLive: "1 minute" })
    const quarantine = makeQuarantine()
    // The limit is of the processor's time, this is of the clock's: a step that does not end, not a busy machine.
    const patience = 20 * options.limit

    const run = (codec: Codec, call: CodecCall) =>
      codec.source.length > maxSource
        ? Effect.fail(failed(`A codec has at most ${maxSource} characters.`))
        : Effect.scoped(
            Effect.flatMap(Pool.get(pool), (worker) =>
              ask(worker, { source: codec.source, call, limit: options.limit }, patience).pipe(
                Effect.onExit((exit) =>
                  Exit.isFailure(exit)
                    ? Effect.andThen(
                        Effect.promise(() => worker.terminate()),
                        Pool.invalidate(pool, worker)
                      )
                    : Effect.void
                )
              )
            )
          ).pipe(
            Effect.tapError((failure) =>
              failure._tag === "ThreadGone" && failure.by !== undefined ? quarantine.strike(failure.by) : Effect.void
            ),
            // Each of the threads may be held by somebody else's.
            Effect.retry({ times: threads, while: (failure) => failure._tag === "ThreadGone" }),
            Effect.catchTag("ThreadGone", () => Effect.fail(broke)),
            Effect.flatMap((answer) => returnedBy(call.function, answer)),
            (running) => quarantine.guard(codec.source, running)
          )

    const decode = (name: "decodeUplink" | "decodeDownlink") => (codec: Codec, input: UplinkInput) =>
      Effect.flatMap(run(codec, { function: name, input }), ({ data, warnings }) =>
        isRecord(data)
          ? Effect.succeed({ data, warnings: strings(warnings) })
          : Effect.fail(failed(`${name} returned no data.`))
      )

    return {
      decodeUplink: decode("decodeUplink"),
      decodeDownlink: decode("decodeDownlink"),
      encodeDownlink: (codec, input) =>
        Effect.flatMap(run(codec, { function: "encodeDownlink", input: { fPort: 1, ...input } }), (returned) => {
          const { bytes, fPort = input.fPort ?? 1, warnings } = returned
          if (!Array.isArray(bytes) || bytes.length > maxBytes || !bytes.every(isByte))
            return Effect.fail(failed("encodeDownlink returned no bytes."))
          if (!isByte(fPort)) return Effect.fail(failed("encodeDownlink returned no fPort from 0 to 255."))
          return Effect.succeed({ bytes: Uint8Array.from(bytes), fPort: fPort as number, warnings: strings(warnings) })
        })
    }
  })
