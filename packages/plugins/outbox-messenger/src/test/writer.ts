/**
 * A process that sends message after message and prints the id of each accepted one, until it is killed.
 */
import { Messenger } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { outboxMessenger } from "../index.ts"
import { message, provided } from "./outbox.ts"

await Effect.runPromise(
  Effect.gen(function* () {
    const messenger = yield* Messenger
    for (;;) {
      const next = message()
      yield* messenger.send(next)
      process.stdout.write(`${next.id}\n`)
    }
  }).pipe(Effect.provide(provided(outboxMessenger({ fileSize: 8_192, files: 1_000 }), process.argv[2] ?? "")))
)
