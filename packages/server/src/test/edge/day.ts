/** A day without network in a minute: takes so many messages, says how much memory that took, and again when the city has them. */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { everybody } from "../../edge/devices.ts"
import { makeEdgeHost } from "../../edge/host.ts"
import { readCursor } from "../../edge/Forward.ts"
import { openEdge } from "../../edge/index.ts"

const { folder, messages, to } = JSON.parse(process.argv[2]!) as {
  readonly folder: string
  readonly messages: number
  readonly to: string
}
let most = 0
setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 50).unref()
process.once("disconnect", () => process.exit())

const batch = 500
const program = Effect.gen(function* () {
  const { log } = yield* openEdge({
    folder: join(folder, "edge"),
    listen: [],
    to,
    token: "the-gateways-token",
    open: true
  })
  const host = makeEdgeHost(log, everybody, "samarkand")
  const devices = yield* Effect.forEach(Array.from({ length: 1_000 }), (_, n) =>
    host.authenticate({ kind: "token", token: `meter-${n}` })
  )
  const began = performance.now()
  for (let done = 0; done < messages; done += batch)
    yield* host.receive(
      Array.from({ length: batch }, (_, place) => ({
        from: { session: devices[(done + place) % devices.length]! },
        topic: "v1/devices/me/telemetry",
        format: "json" as const,
        payload: Buffer.from(JSON.stringify({ pressure: 3.25, flow: 12.5, n: done + place })),
        receivedAt: 0
      }))
    )
  process.send?.({ taken: true, most, seconds: (performance.now() - began) / 1000, bytes: log.bytes() })
  while ((yield* Effect.promise(() => readCursor(join(folder, "edge")))).forwarded < messages) yield* Effect.sleep(200)
  process.send?.({ brought: true, most, bytes: log.bytes() })
})
await Effect.runPromise(Effect.scoped(program))
