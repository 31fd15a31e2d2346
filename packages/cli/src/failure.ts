/** How a command ends when it fails: one line that says what to do next, and an exit code that scripts can rely on. */
import { CityError } from "@mahalla/core"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** A failure that the command itself explains. */
export class CommandError extends Data.TaggedError("CommandError")<{
  readonly message: string
  readonly exitCode?: number
}> {}

export const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, CityError | CommandError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) =>
      error instanceof CityError || error instanceof CommandError
        ? error
        : new CommandError({ message: error instanceof Error ? error.message : String(error) })
  })

/** Says what went wrong and returns the exit code. */
export const reportFailure = (cause: Cause.Cause<unknown>): Effect.Effect<number> =>
  Effect.sync(() => {
    const error = Cause.squash(cause) as {
      readonly _tag?: string
      readonly message?: string
      readonly exitCode?: number
    }
    // The command line has already shown its help, or the command itself what it found.
    if (error._tag !== "ShowHelp" && error.message !== "") {
      const json = process.argv.includes("--json")
      const text = error.message ?? String(error)
      process.stderr.write(json ? `${JSON.stringify({ error: text, kind: error._tag })}\n` : `\n${text}\n`)
      if (process.env["MAHALLA_DEBUG"] !== undefined) process.stderr.write(`${Cause.pretty(cause)}\n`)
    }
    return error.exitCode ?? 1
  })
