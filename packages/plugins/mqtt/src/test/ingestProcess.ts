/**
 * A process that takes messages and is killed: `broker <port> <file>` or `consumer <url> <file> [<client id> <share>]`. What it commits is
 * appended to the file and on the disk before it says so.
 */
import { open } from "node:fs/promises"
import type { IngestHost } from "@mahalla/core/plugin"
import { fakeIngestHost } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import { serveBroker } from "../broker/MqttBroker.ts"
import { serveConsumer } from "../consumer/MqttConsumer.ts"

type Arguments = ["broker" | "consumer", string, string, clientId?: string, share?: string]
const [mode, where, path, clientId = "city-1", share] = process.argv.slice(2) as Arguments

const program = Effect.gen(function* () {
  const file = yield* Effect.promise(() => open(path, "a"))
  const { host: fake } = yield* fakeIngestHost()
  const receive: IngestHost["receive"] = (messages) =>
    Effect.promise(async () => {
      const lines = messages.map(({ payload }) => `${Buffer.from(payload).toString()}\n`)
      await file.appendFile(lines.join(""))
      await file.datasync()
      return messages.map(() => ({ state: "stored" }) as const)
    })
  const host = { ...fake, receive }
  const config = { url: where, clientId, tenant: "samarkand", ...(share === undefined ? {} : { share }) }
  yield* mode === "broker"
    ? serveBroker({ tcp: { port: Number(where) } }, host)
    : serveConsumer(config, host, () => undefined)
  yield* Effect.never
})

Effect.runFork(Effect.scoped(program))
