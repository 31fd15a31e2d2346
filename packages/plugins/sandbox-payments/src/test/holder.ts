/**
 * A process that holds the plugin open until it is killed; its argument is the plugin's home.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { findSimulator, sandboxPayments } from "../index.ts"
import { provided } from "./simulator.ts"

const home = process.argv[2] ?? ""
await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      yield* Layer.build(provided(sandboxPayments({}), home))
      process.stdout.write(`${JSON.stringify(yield* findSimulator(home))}\n`)
      yield* Effect.never
    })
  )
)
