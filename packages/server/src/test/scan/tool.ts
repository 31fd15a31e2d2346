/** Runs a scanner to its end, with a home of its own, nothing to read and no more time than it may take. */
import { spawn } from "node:child_process"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"

/** Minutes for one operation. More is a tool that hangs. */
const most = 30

/** What it said, which is also left in `said.txt`. */
export const runTool = async (folder: string, program: string, args: ReadonlyArray<string>): Promise<string> => {
  await mkdir(folder, { recursive: true })
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: folder, TMPDIR: folder, PYTHONUNBUFFERED: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: most * 60_000,
    killSignal: "SIGKILL"
  })
  const kill = () => child.kill("SIGKILL")
  process.once("exit", kill)
  const said: Array<Buffer> = []
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  process.off("exit", kill)
  const text = Buffer.concat(said).toString("utf8")
  await writeFile(join(folder, "said.txt"), text)
  if (code !== 0) throw new Error(`${program} ended with ${code}. Its last words:\n${text.slice(-2_000)}`)
  return text
}
