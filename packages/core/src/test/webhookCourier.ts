/** A process that hears events and delivers them, to be killed: its arguments are the addresses of the app's and the platform's log-ins. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { withPlatform } from "../kernel/db/Database.ts"
import { layerDatabase } from "../kernel/db/Database.ts"
import { catchUp } from "../kernel/events/Consumer.ts"
import { sequence } from "../kernel/events/sequencer.ts"
import { mastersOf } from "../kernel/personal/master.ts"
import { layerVault } from "../kernel/personal/Vault.ts"
import { webhooksConsumer } from "../modules/webhooks/consumer.ts"
import { courier, webhookServices } from "./webhookRooms.ts"

const [app = "", platform = ""] = process.argv.slice(2)
const database = layerDatabase({
  app: Redacted.make(app),
  platform: Redacted.make(platform),
  maxConnections: 8,
  pooled: false
})
const services = webhookServices.pipe(
  Layer.provideMerge(layerVault(mastersOf(Redacted.make("mahalla")))),
  Layer.provideMerge(database)
)

const work = Effect.gen(function* () {
  yield* courier({ seconds: 2 })
  while (true) {
    yield* withPlatform(sequence())
    yield* catchUp(webhooksConsumer)
    yield* Effect.sleep("20 millis")
  }
})
await Effect.runPromise(Effect.scoped(work).pipe(Effect.provide(services)) as Effect.Effect<never, unknown>)
