/** The client's process: takes a `Load` as a message, answers with its `Outcome`. */
import { type Load, runLoad } from "./client.ts"
import { shapes } from "./requests.ts"

let count = process.pid * 1000

process.on("message", (load: Load) => {
  const shape = shapes[load.shape]
  if (shape === undefined) throw new Error(`No requests for ${load.shape}`)
  void runLoad(load, () => shape(count++, load.facts)).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ done: 0, perSecond: 0, p50: 0, p99: 0, failed: 1, failure: String(error) })
  )
})
