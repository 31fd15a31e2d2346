import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

/** The command that runs one of the programs beside this file. */
export const command = (program: string): ReadonlyArray<string> => [
  process.execPath,
  "--conditions=@mahalla/source",
  "--disable-warning=ExperimentalWarning",
  fileURLToPath(new URL(program, import.meta.url))
]

/** Resolves once it prints a line that begins so. */
export const startUntil = (args: ReadonlyArray<string>, line: string) =>
  new Promise<ChildProcess>((resolve, reject) => {
    const child = spawn(args[0] as string, args.slice(1), { stdio: ["ignore", "pipe", "inherit"] })
    child.stdout.on("data", (said: Buffer) => said.toString().startsWith(line) && resolve(child))
    child.on("exit", (code) => reject(new Error(`It ended with ${code} before it said "${line}".`)))
  })

export const run = (args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly said: string; readonly complained: string }>((resolve) => {
    const child = spawn(args[0] as string, args.slice(1), { stdio: ["ignore", "pipe", "pipe"] })
    let said = ""
    let complained = ""
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (complained += chunk.toString()))
    child.on("error", (error) => resolve({ code: -1, said, complained: error.message }))
    child.on("close", (code) => resolve({ code, said, complained }))
  })
