/** Launches PostgreSQL on a folder in a process of its own; prints what it got and leaves when its input ends. */
import * as Effect from "effect/Effect"
import { launchPostgres } from "../launcher/index.ts"

const [dataFolder = ""] = process.argv.slice(2)
const ended = new Promise<void>((resolve) => process.stdin.on("end", resolve).resume())

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const { pid, port, started } = yield* launchPostgres({ dataFolder, durable: false })
      process.stdout.write(JSON.stringify({ pid: yield* pid, port, started }))
      yield* Effect.promise(() => ended)
    })
  )
)
process.exit(0)
