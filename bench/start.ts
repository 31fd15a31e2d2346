/**
 * From `npm start` to a city that says it is ready, with e-jarima and everything embedded: the first time (a database cluster is made,
 * migrated and seeded), and again on the same home (PostgreSQL starts, nothing is made). Then the memory of the server's process after
 * some idle seconds. The code caches are filled once before; `first start of all` is that one.
 * Arguments: `--rounds=5`, `--idle=10` seconds.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { cpuOf, resident } from "./http/processes.ts"
import { freePort } from "../scripts/services/port.ts"
import { figure, median } from "./measure.ts"

const root = join(import.meta.dirname, "..")

interface Start {
  /** Seconds from spawn to the first 200 of `/health/ready`. */
  readonly ready: number
  /** Seconds of CPU of the process and its children until then. */
  readonly cpu: number
  /** Megabytes after the idle time. */
  readonly memory: number
}

const start = async (home: string, cache: string, idle: number): Promise<Start> => {
  const port = await freePort()
  const began = performance.now()
  const child = spawn(process.execPath, [join(root, "scripts/start.mjs"), "--json"], {
    env: { ...process.env, MAHALLA_HOME: home, PORT: String(port), NODE_COMPILE_CACHE: cache },
    stdio: ["ignore", "ignore", "inherit"]
  })
  const exit = once(child, "exit")
  const isReady = () =>
    fetch(`http://127.0.0.1:${port}/health/ready`).then(
      (answer) => answer.ok,
      () => false
    )
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode} before it was ready`)
    await sleep(10)
  }
  const ready = (performance.now() - began) / 1000
  // The one that was started has started the server.
  const { pid } = JSON.parse(await readFile(join(home, "running.json"), "utf8")) as { readonly pid: number }
  const cpu = (await cpuOf(pid)) / 1000
  await sleep(idle * 1000)
  const memory = await resident(pid)
  child.kill("SIGTERM")
  await exit
  return { ready, cpu, memory }
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const rounds = Number(value("rounds") ?? 5)
  const idle = Number(value("idle") ?? 10)
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const cache = join(folder, "cache")
  const first: Array<Start> = []
  const warm: Array<Start> = []
  try {
    const fill = await start(join(folder, "fill"), cache, 0)
    figure("start", "first start of all, sources never compiled", "s", fill.ready)
    for (let round = 0; round < rounds; round++) {
      const home = join(folder, `home-${round}`)
      first.push(await start(home, cache, 0))
      warm.push(await start(home, cache, round === 0 ? idle : 1))
      console.error(JSON.stringify({ round, first: first.at(-1), warm: warm.at(-1) }))
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  const of = (starts: ReadonlyArray<Start>, name: keyof Start) => median(starts.map((one) => one[name]))
  figure("start", "first start, database made", "s", of(first, "ready"), 8)
  figure("start", "first start, CPU", "s", of(first, "cpu"))
  figure("start", "warm start", "s", of(warm, "ready"), 1.5)
  figure("start", "warm start, CPU", "s", of(warm, "cpu"))
  figure("start", `memory after ${idle} s idle`, "MB", warm[0]?.memory ?? Number.NaN, 250)
}
