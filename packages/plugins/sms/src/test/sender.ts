/** A process that sends one message and waits for the answer until it is killed: `sender.ts WAY HOME PORT MESSAGE`. */
import { fakeCallbacks } from "@mahalla/core/testing"
import type { Message } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { providerAt } from "./providers.ts"
import { smppAt } from "./smpp.ts"

const [, , way = "", home = "", port = "", message = ""] = process.argv
await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const messenger =
        way === "eskiz" || way === "playmobile"
          ? yield* providerAt(way, home, Number(port), fakeCallbacks())
          : (yield* smppAt(home, Number(port), { patience: 60 })).messenger
      process.stdout.write(`${JSON.stringify({ port: 0, control: 0 })}\n`)
      yield* messenger.send(JSON.parse(message) as Message)
    })
  )
)
