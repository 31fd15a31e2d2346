import { AuthorityControl, authoritySuite } from "@mahalla/core/testing"
import { join } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, beforeAll, describe, it } from "vitest"
import { asbt } from "./index.ts"
import { control, openCallbacks, provided, secret, start, stop, temporary, type Simulator } from "./test/simulator.ts"

let simulator: Simulator
const open: Array<{ close: () => unknown }> = []
beforeAll(async () => {
  simulator = await start(join(temporary(), "filings.ndjson"), "--slow", "4000", "--late", "60000")
})
afterAll(async () => {
  for (const server of open) server.close()
  await stop(simulator)
})

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const callbacks = yield* Effect.promise(openCallbacks)
    open.push(callbacks.server)
    const plugin = asbt({ url: simulator.url, secret, timeout: 1_500 })
    const context = yield* Layer.build(provided(plugin, { callbacks }))
    return Context.add(context, AuthorityControl, control(simulator.url))
  })
)

authoritySuite.run({ describe, it }, { name: "asbt", layer })
