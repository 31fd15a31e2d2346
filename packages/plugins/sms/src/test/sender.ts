/** A process that sends one message and waits for the answer until it is killed: `sender.ts HOME PORT MESSAGE`. */
import type { Message } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { smppAt } from "./smpp.ts"

const [, , home = "", port = "", message = ""] = process.argv
await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const { messenger } = yield* smppAt(home, Number(port), { patience: 60 })
      process.stdout.write(`${JSON.stringify({ port: 0, control: 0 })}\n`)
      yield* messenger.send(JSON.parse(message) as Message)
    })
  )
)
