import { PaymentsControl, paymentsSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { beforeAll, describe, it } from "vitest"
import { control, rail, start, temporary } from "./test/simulator.ts"

let url: string
beforeAll(async () => {
  url = (await start(`${temporary()}/uzcard.ndjson`, "--slow", "3000", "--settle", "60000")).url
})

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const context = yield* Layer.build(rail(url))
    return Context.add(context, PaymentsControl, control(url))
  })
)

paymentsSuite.run({ describe, it }, { name: "uzcard", layer })
