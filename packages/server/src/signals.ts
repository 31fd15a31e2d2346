/** The process contract: SIGTERM and SIGINT drain and end with 0; a second one ends at once. */
import type { Serving } from "./serve.ts"

export const drainOnSignal = (serving: Serving, onClosing: () => void = () => {}): void => {
  let asked = false
  const stop = (signal: NodeJS.Signals) => {
    if (asked) process.exit(signal === "SIGINT" ? 130 : 143)
    asked = true
    onClosing()
    serving.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
        process.exit(1)
      }
    )
  }
  process.on("SIGTERM", stop)
  process.on("SIGINT", stop)
}
