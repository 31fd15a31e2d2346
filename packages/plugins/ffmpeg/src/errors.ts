/**
 * From what ffmpeg and the file system say to the port's closed list of reasons. ffmpeg has one exit code for everything, so its
 * words decide; they are English whatever the machine's language, because it runs with `LC_ALL=C`.
 */
import { basename } from "node:path"
import { EncoderError, type EncoderReason } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type { Finished } from "./run.ts"

export type Operation = "probe" | "transcode" | "poster" | "frames"

/** What is being done to which file. */
export interface Task {
  readonly operation: Operation
  readonly path: string
}

const retryable = new Set<EncoderReason>(["Timeout", "Unavailable", "Full"])

/** `what` is a clause about the file; `next` a sentence. */
export const failure = (task: Task, reason: EncoderReason, what: string, next: string, cause?: unknown) => {
  const subject = basename(task.path)
  return new EncoderError({
    reason,
    operation: task.operation,
    subject,
    message: `${subject}: ${what}. ${next}`,
    retryable: retryable.has(reason),
    ...(cause === undefined ? {} : { cause })
  })
}

export const full = (task: Task, cause: unknown) =>
  failure(task, "Full", "no space left for the output", "Free space in the scratch folder; it is tried again.", cause)

export const tooLarge = (task: Task, what: string, cause?: unknown) =>
  failure(task, "TooLarge", what, "Send a shorter or smaller one, or raise the plugin's `limits`.", cause)

export const notMedia = (task: Task, what: string, cause?: unknown) =>
  failure(task, "NotMedia", what, "Send the original file again, or another recording.", cause)

export const refused = (task: Task, cause?: unknown) =>
  failure(task, "Refused", "it points to other files or addresses", "Send the recording itself.", cause)

export const timedOut = (task: Task, milliseconds: number) =>
  failure(
    task,
    "Timeout",
    `ffmpeg was stopped after ${milliseconds / 1000} seconds`,
    "It is tried again; if that repeats, raise `timeout` or look at the file."
  )

const pixels = /max pixel count|Picture size \d+x\d+|Image too large|[Ii]nvalid dimensions/

/** Whether a decoder met pictures past the limit, even where ffprobe has gone on without them. */
export const claimsTooMuch = (words: string) => pixels.test(words)

const says: ReadonlyArray<readonly [RegExp, (task: Task, words: string) => EncoderError]> = [
  [/No space left on device|Disk quota exceeded/i, full],
  [/Skipped opening external track|Protocol '[^']*' not on whitelist/, refused],
  [pixels, (task, words) => tooLarge(task, "its pictures have more pixels than allowed", words)],
  [
    /Codec \((\w+)\) not on whitelist/,
    (task, words) => notMedia(task, `the codec ${/Codec \((\w+)\)/.exec(words)?.[1]} is not accepted`, words)
  ],
  [
    /Cannot allocate memory|std::bad_alloc|malloc.*failed/i,
    (task, words) => tooLarge(task, "it needs more memory than one ffmpeg may have", words)
  ]
]

/** ffmpeg's own last complaint, without addresses of its objects. */
const lastLine = (words: string) =>
  words
    .split("\n")
    .map((line) =>
      line
        .replace(/^(\[[^\]]*\] )+/, "")
        .replace(/file:\S*\/|\/\S*\//g, "")
        .trim()
    )
    .findLast((line) => line !== "" && !/^(Conversion failed|Error while (opening|processing))/.test(line))
    ?.slice(0, 200) ?? "ffmpeg gave no reason"

/** What ffmpeg meant by its words, when it gave up or found nothing. */
export const explain = (task: Task, words: string): EncoderError => {
  for (const [pattern, make] of says) if (pattern.test(words)) return make(task, words)
  return notMedia(task, `it cannot be read (${lastLine(words)})`, words)
}

/** Words that count even when the program says it was successful: it passes over a foreign track and over a failed last write. */
const decisive = says.slice(0, 2)

/** Why a finished process is a failure, if it is one. */
export const complaint = (task: Task, finished: Finished): EncoderError | undefined => {
  const { code, signal, words } = finished
  if (signal === "SIGXFSZ") return tooLarge(task, "its output grew past the limit")
  if (signal === "SIGXCPU") return timedOut(task, finished.timeout)
  if (code === 0 && !decisive.some(([pattern]) => pattern.test(words))) return undefined
  if (signal !== null || code === 126 || code === 127)
    return failure(
      task,
      "Unavailable",
      `ffmpeg ended by ${signal ?? `exit code ${code}`}`,
      "It is tried again; if that repeats, look at memory and at the file.",
      words
    )
  return explain(task, words)
}

/** A step in the file system that belongs to the task. */
export const onDisk = <A>(task: Task, step: () => Promise<A>): Effect.Effect<A, EncoderError> =>
  Effect.tryPromise({
    try: step,
    catch: (cause) =>
      /^(ENOSPC|EDQUOT)$/.test((cause as NodeJS.ErrnoException).code ?? "")
        ? full(task, cause)
        : failure(
            task,
            "Unavailable",
            `the file system said ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
            "Look at the scratch folder and its permissions; it is tried again.",
            cause
          )
  })
