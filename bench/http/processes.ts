/** Servers and the load client as processes of their own. A server says where it is in one line of JSON, and ends with its input. */
import { type ChildProcess, fork, spawn } from "node:child_process"
import { once } from "node:events"
import { readdir, readFile } from "node:fs/promises"
import { createInterface } from "node:readline"
import type { Load, Outcome, Target } from "./client.ts"

export const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]

export interface Server {
  readonly target: Omit<Target, "shape">
  readonly pid: number
  readonly stop: () => Promise<void>
}

const stopped = async (child: ChildProcess) => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, "exit")
  child.stdin?.end()
  const late = setTimeout(() => child.kill("SIGKILL"), 10_000)
  await exit
  clearTimeout(late)
}

/** Starts `node …args` and waits for its line. */
export const startServer = async (
  args: ReadonlyArray<string>,
  options: { readonly node?: string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {}
): Promise<Server> => {
  const child = spawn(options.node ?? process.execPath, args, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd })
  })
  const lines = createInterface(child.stdout)
  const ready = new Promise<Server["target"]>((resolve, reject) => {
    // What a server prints besides is not for us.
    lines.on("line", (line) => {
      if (line.startsWith('{"port":')) resolve(JSON.parse(line) as Server["target"])
    })
    child.once("exit", (code) =>
      reject(new Error(`The server ${args.join(" ")} ended with ${code} before it was ready`))
    )
  })
  return { target: await ready, pid: child.pid ?? 0, stop: () => stopped(child) }
}

/** The load client's process. */
export const startClient = () => {
  const child = fork(new URL("loadProcess.ts", import.meta.url), { execArgv: flags })
  const run = async (load: Load): Promise<Outcome> => {
    child.send(load)
    const [outcome] = (await once(child, "message")) as [Outcome]
    if (outcome.failed > 0)
      throw new Error(`${load.shape}: ${outcome.failed} of ${outcome.done} failed: ${outcome.failure}`)
    return outcome
  }
  return { run, stop: () => child.disconnect() }
}

/** Megabytes of a process that are in memory now. */
export const resident = async (pid: number): Promise<number> =>
  Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""))?.[1] ?? Number.NaN) / 1024

/** Ticks of a process so far, those of its ended children too; and who its parent is. */
const ticksOf = async (pid: number | string) => {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")
  // The name may hold anything; the last parenthesis ends it.
  const [, parent, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return { parent: Number(parent), ticks: rest.slice(9, 13).reduce((sum, part) => sum + Number(part), 0) }
}

/** CPU milliseconds that a process has used, with its children: of a busy machine, what is left of a measurement. Linux only, else NaN. */
export const cpuOf = async (pid: number): Promise<number> => {
  const { ticks } = await ticksOf(pid)
  const others = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name))
  const children = (await Promise.all(others.map(ticksOf))).filter(({ parent }) => parent === pid)
  return children.reduce((sum, child) => sum + child.ticks, ticks) * 10
}
