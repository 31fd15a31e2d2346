import { spawn } from "node:child_process"

/** Runs to the end and returns what it said; fails with its last lines. */
export const run = (command: string, args: ReadonlyArray<string>, env?: Readonly<Record<string, string>>) =>
  new Promise<string>((resolve, reject) => {
    let said = ""
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C", ...env }
    })
    const hear = (chunk: Buffer) => (said = (said + chunk.toString()).slice(-65_536))
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.on("error", reject)
    child.on("close", (code) =>
      code === 0
        ? resolve(said)
        : reject(new Error(`${command} ended with ${code}: ${said.trim().split("\n").slice(-6).join("\n")}`))
    )
  })
