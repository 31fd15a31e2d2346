/** A process that is killed: a city or an edge, as the argument says. Tells where it listens when it does. */
import { createCity } from "@mahalla/core"
import * as Effect from "effect/Effect"
import { type EdgeOptions, openEdge } from "../../edge/index.ts"
import { serve } from "../../serve.ts"
import { cityConfig, type CityTask, type EdgeTask } from "./city.ts"

const runCity = async (task: CityTask["city"]) => {
  const city = createCity(cityConfig(task))
  await city.start()
  const { url } = await serve(city, { port: task.port, host: "127.0.0.1" })
  process.send?.({ addresses: [url] })
}

const runEdge = (options: EdgeOptions) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const { addresses } = yield* openEdge(options)
        process.send?.({ addresses })
        return yield* Effect.never
      })
    )
  )

const task = JSON.parse(process.argv[2] ?? "{}") as CityTask | EdgeTask
// Whoever started it is gone.
process.once("disconnect", () => process.exit())
await ("city" in task ? runCity(task.city) : runEdge(task.edge))
