/**
 * One gigabyte through tus in a single PATCH, into the file store with PostgreSQL beside it (both synced), until it is hashed, put
 * together and stored; beside a bare Node server that writes the same body to one file and syncs it. The server's memory is read from
 * /proc. Arguments: `--rounds=9`, `--megabytes=1024`.
 */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { request as httpRequest } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { launchPostgres } from "@mahalla/postgres"
import { figure, interleave, median, report, type Sample } from "./measure.ts"

const MiB = 1024 * 1024
const chunk = randomBytes(MiB)
const first = Buffer.from(chunk)
first.write("\0\0\0\u0018ftypmp42\0\0\0\0mp42isom", "latin1")

type Headers = Readonly<Record<string, string>>

/** Sends so many megabytes and gives status and location. */
const send = (url: string, method: string, headers: Headers, megabytes: number) =>
  new Promise<{ readonly status: number; readonly location: string | undefined }>((resolve, reject) => {
    const request = httpRequest(url, { method, headers: { ...headers, "content-length": String(megabytes * MiB) } })
    request.on("error", reject)
    request.on("response", (response) => {
      response.resume()
      response.on("end", () => resolve({ status: response.statusCode ?? 0, location: response.headers.location }))
    })
    let sent = 0
    const pour = () => {
      while (sent < megabytes) if (!request.write(sent++ === 0 ? first : chunk)) return void request.once("drain", pour)
      request.end()
    }
    pour()
  })

const tus = { "tus-resumable": "1.0.0" }

const upload = async (url: string, headers: Headers, megabytes: number) => {
  const begun = await send(url, "POST", { ...tus, ...headers, "upload-length": String(megabytes * MiB) }, 0)
  const place = new URL(begun.location ?? "", url).toString()
  const patch = { ...tus, ...headers, "upload-offset": "0", "content-type": "application/offset+octet-stream" }
  return send(place, "PATCH", patch, megabytes)
}

/** Megabytes of a process that are in memory now. */
const resident = async (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""))?.[1] ?? 0) / 1024

/** Seconds of processor time that a process has used, in a hundredth's steps. */
const processor = async (pid: number) => {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** A fresh server takes a small file first, then the measured one. */
const measured = async (
  args: ReadonlyArray<string>,
  take: (url: string, headers: Headers, megabytes: number) => Promise<{ readonly status: number }>,
  megabytes: number
): Promise<Sample> => {
  const script = join(import.meta.dirname, "upload/server.ts")
  const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
  const server = spawn(process.execPath, [...flags, script, ...args], { stdio: ["pipe", "pipe", "inherit"] })
  const exit = once(server, "exit")
  const [line] = (await once(createInterface(server.stdout), "line")) as [string]
  const { headers, url } = JSON.parse(line) as { url: string; headers: Headers }
  await take(url, headers, 64)
  const before = await resident(server.pid ?? 0)
  let peak = before
  const watch = setInterval(() => void resident(server.pid ?? 0).then((now) => (peak = Math.max(peak, now))), 50)
  const used = await processor(server.pid ?? 0)
  const start = performance.now()
  const { status } = await take(url, headers, megabytes)
  const seconds = (performance.now() - start) / 1000
  const cpu = (await processor(server.pid ?? 0)) - used
  clearInterval(watch)
  server.stdin.end()
  await exit
  if (status !== 204) throw new Error(`The upload ended with ${status}`)
  return { speed: megabytes / seconds, cpu: (cpu * 1024) / megabytes, growth: peak - before, peak }
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const rounds = Number(value("rounds") ?? 9)
  const megabytes = Number(value("megabytes") ?? 1024)
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const work = Effect.gen(function* () {
    const { admin } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const { floor, ours } = yield* Effect.promise(() =>
      interleave(
        {
          ours: () => measured(["ours", Redacted.value(admin)], upload, megabytes),
          floor: () => measured(["floor"], (url, headers, size) => send(url, "PUT", headers, size), megabytes)
        },
        rounds
      )
    )
    report({
      bench: "upload",
      metric: "speed",
      unit: "MB/s",
      ours,
      floor,
      against: "bare node:http to one synced file"
    })
    report({ bench: "upload", metric: "cpu", unit: "s/GiB", better: "lower", ours, floor, against: "the same" })
    const growth = ours.map((sample) => sample["growth"] ?? Number.NaN)
    figure("upload", "memory growth, median", "MB", median(growth), 64)
    figure("upload", "memory growth, worst", "MB", Math.max(...growth), 64)
  })
  try {
    await Effect.runPromise(Effect.scoped(work))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
