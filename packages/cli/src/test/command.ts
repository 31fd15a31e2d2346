/** The program as a real process, from its sources. */
import { spawn } from "node:child_process"
import { join } from "node:path"

export const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
export const main = join(import.meta.dirname, "../main.ts")

export interface Said {
  readonly code: number | null
  /** Both streams, as they came. */
  readonly said: string
}

export const runCommand = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Promise<Said> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [...flags, main, ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let said = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.once("close", (code) => resolve({ code, said }))
  })
