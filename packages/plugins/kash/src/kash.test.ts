import { PaymentsControl, paymentsSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { beforeAll, describe, it } from "vitest"
import { callbackDoor, callbackSecret, control, rail, start, temporary } from "./test/simulator.ts"

let url: string
let door: Awaited<ReturnType<typeof callbackDoor>>
beforeAll(async () => {
  door = await callbackDoor()
  const simulator = await start(
    `${temporary()}/kash.ndjson`,
    "--slow",
    "3000",
    "--settle",
    "60000",
    "--callback",
    door.url,
    "--callback-secret",
    callbackSecret
  )
  url = simulator.url
})

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const context = yield* Layer.build(rail(url, {}, { callbacks: door.layer }))
    return Context.add(context, PaymentsControl, control(url))
  })
)

paymentsSuite.run({ describe, it }, { name: "kash", layer })
