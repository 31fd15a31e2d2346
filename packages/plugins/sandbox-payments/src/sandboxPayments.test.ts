import { PaymentsControl, paymentsSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, beforeAll, describe, it } from "vitest"
import { sandboxPayments } from "./index.ts"
import { control, provided, start, stop, type Simulator } from "./test/simulator.ts"
import { temporary } from "./test/temporary.ts"

const home = temporary()
let simulator: Simulator
beforeAll(async () => {
  simulator = await start(`${home}/payments.ndjson`, "--slow", "3000")
})
afterAll(() => stop(simulator))

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const { url } = simulator
    const context = yield* Layer.build(provided(sandboxPayments({ url, timeout: 1_500 }), home))
    return Context.add(context, PaymentsControl, control(url))
  })
)

paymentsSuite.run({ describe, it }, { name: "sandbox-payments", layer })
