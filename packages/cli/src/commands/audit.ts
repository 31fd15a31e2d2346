/** `mahalla audit verify`: the separate verifier of `../audit`, which knows nothing of the engine, under the name people look for. */
import { resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { runVerify } from "../audit/run.ts"
import { CommandError } from "../failure.ts"
import { root } from "../root.ts"

// npm runs scripts in the package's folder; files are named from where the person stands.
const here = (file: string) => resolve(process.env["INIT_CWD"] ?? ".", file)

const verify = Command.make(
  "verify",
  {
    file: Argument.String("export").pipe(
      Argument.withDescription("The log as NDJSON, as GET /v1/audit/export gives it from position 1")
    ),
    checkpoint: Flag.String("checkpoint").pipe(
      Flag.withDescription("File of checkpoints that was kept outside the database")
    ),
    key: Flag.String("key").pipe(
      Flag.optional,
      Flag.withDescription("JWK set: a file or an address. Without it what the checkpoints' issuer publishes")
    ),
    dropped: Flag.Int("dropped-up-to").pipe(
      Flag.withDefault(0),
      Flag.withDescription("Position up to which payloads may have been dropped by age")
    )
  },
  Effect.fn(function* ({ checkpoint, dropped, file, key }) {
    const { json } = yield* root
    const given = Option.getOrUndefined(key)
    const request = {
      export: here(file),
      checkpoints: here(checkpoint),
      droppedUpTo: dropped,
      ...(given === undefined ? {} : { key: /^https?:/.test(given) ? given : here(given) })
    }
    const code = yield* Effect.promise(() =>
      runVerify(request, json, (line) => {
        process.stdout.write(`${line}\n`)
      })
    )
    // What is wrong has been said.
    if (code !== 0) return yield* new CommandError({ message: "", exitCode: code })
  })
).pipe(Command.withDescription("Check an exported audit log against checkpoints; the exit code names what is wrong"))

export const audit = Command.make("audit").pipe(
  Command.withDescription("Check the audit log as an outsider"),
  Command.withSubcommands([verify])
)
