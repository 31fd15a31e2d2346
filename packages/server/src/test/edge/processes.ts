/** Starts and kills what `run.ts` can be. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import type { CityTask, EdgeTask } from "./city.ts"

export interface Killable {
  readonly child: ChildProcess
  readonly addresses: ReadonlyArray<string>
  readonly kill: () => Promise<void>
}

/** Undefined where it was killed before it was ready. */
export const startProcess = async (
  task: CityTask | EdgeTask,
  onSpawn: (kill: () => Promise<void>, child: ChildProcess) => void = () => undefined
): Promise<Killable | undefined> => {
  const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
  const child = spawn(process.execPath, [...flags, join(import.meta.dirname, "run.ts"), JSON.stringify(task)], {
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  const gone = once(child, "exit")
  const kill = async () => {
    child.kill("SIGKILL")
    await gone
  }
  onSpawn(kill, child)
  const ready = once(child, "message").then(([message]) => (message as { readonly addresses: Array<string> }).addresses)
  const first = await Promise.race([ready, gone.then(() => undefined)])
  if (first === undefined) {
    if (child.signalCode === "SIGKILL") return undefined
    throw new Error(`The process ended with ${child.exitCode}.`)
  }
  return { child, addresses: first, kill }
}
