/** Works on a broadcast or on digests in a process of its own, to be killed. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { layerDatabase, withTenant } from "../kernel/db/Database.ts"
import { Messengers } from "../kernel/ports.ts"
import { sendDigests } from "../modules/notifications/digests.ts"
import { nextPage } from "../modules/notifications/runBroadcast.ts"
import { Messenger } from "../ports/Messenger.ts"
import { memoryMessenger } from "../testing/Messenger.memory.ts"

const [app = "", platform = "", tenantId = "", broadcastId = ""] = process.argv.slice(2)
const rooms = Layer.merge(
  Layer.effect(
    Messengers,
    Effect.map(Messenger, (messenger) => new Map([["sms", { ...messenger, channel: "sms" as const }]]))
  ).pipe(Layer.provide(memoryMessenger())),
  layerDatabase({ app: Redacted.make(app), platform: Redacted.make(platform), maxConnections: 4, pooled: false })
)

const work = Effect.gen(function* () {
  for (let more = true; more;) {
    if (broadcastId === "") yield* sendDigests
    else more = yield* withTenant(tenantId)(nextPage(broadcastId))
  }
})
await Effect.runPromise(Effect.provide(work, rooms) as Effect.Effect<void, unknown>)
