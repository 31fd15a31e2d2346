/** The process that `city.ts` is: started, killed, looked at from outside. */
import { type ChildProcess, spawn } from "node:child_process"
import { createWriteStream, readFileSync } from "node:fs"
import { join } from "node:path"
import { ended, pause } from "../kill/processes.ts"

export interface CityTask {
  readonly home: string
  readonly port: number
  readonly mqttPort: number
  /** Names of the devices that the first start makes. */
  readonly devices: ReadonlyArray<string>
  /** Default: its own embedded PostgreSQL. */
  readonly databaseUrl?: string
  /** An outside broker, from which it reads as well. */
  readonly broker?: string
  readonly tcpPort?: number
  readonly coapPort?: number
}

export const eventually = async <A>(ask: () => Promise<A>, good: (answer: A) => boolean): Promise<A> => {
  for (let left = 300; ; left--) {
    const answer = await ask().catch(() => undefined)
    if (answer !== undefined && (left === 0 || good(answer))) return answer
    if (left <= 0) throw new Error("The city does not answer.")
    await pause(100)
  }
}

export interface CityProcess {
  /** Resolves when it takes readings. */
  readonly start: () => Promise<void>
  /** `kill -9`, and nothing of it is left when this resolves. */
  readonly kill: () => Promise<void>
  /** Bytes that it has in memory. */
  readonly resident: () => number
}

export const cityProcess = (task: CityTask): CityProcess => {
  let child: ChildProcess | undefined
  return {
    start: async () => {
      const path = join(task.home, "city.log")
      const log = createWriteStream(path, { flags: "a" })
      const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
      const started = spawn(process.execPath, [...flags, join(import.meta.dirname, "city.ts"), JSON.stringify(task)], {
        stdio: ["ignore", "pipe", "pipe", "ipc"]
      })
      child = started
      started.stdout?.pipe(log, { end: false })
      started.stderr?.pipe(log, { end: false })
      started.once("exit", () => log.end())
      const ready = new Promise<"ready">((resolve) => started.on("message", () => resolve("ready")))
      if ((await Promise.race([ready, ended(started)])) !== "ready")
        throw new Error(`The city did not start:\n${readFileSync(path, "utf8").slice(-4000)}`)
    },
    kill: async () => {
      child?.kill("SIGKILL")
      if (child !== undefined) await ended(child)
    },
    resident: () => {
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child?.pid}/status`, "utf8")) ?? []
      return Number(kilobytes) * 1024
    }
  }
}
