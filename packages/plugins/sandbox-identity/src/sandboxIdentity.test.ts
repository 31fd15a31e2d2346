import { IdentityCheckControl, IdentityCheckPeople, identityCheckSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, beforeAll, describe, it } from "vitest"
import { sandboxIdentity } from "./index.ts"
import { control, people, provided, start, stop, type Simulator } from "./test/simulator.ts"

let simulator: Simulator
beforeAll(async () => {
  simulator = await start()
})
afterAll(() => stop(simulator))

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const { url } = simulator
    const context = yield* Layer.build(provided(sandboxIdentity({ url, timeout: 1_500 })))
    return context.pipe(Context.add(IdentityCheckPeople, people), Context.add(IdentityCheckControl, control(url)))
  })
)

identityCheckSuite.run({ describe, it }, { name: "sandbox-identity", layer })
