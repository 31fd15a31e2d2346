/**
 * One running server: found alive or started, and stopped. Readiness is read from `postmaster.pid`, which PostgreSQL keeps for that.
 */
import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { readFile, realpath, rename, stat, unlink } from "node:fs/promises"
import { createServer } from "node:net"
import { totalmem } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type { StorageError } from "@mahalla/core/plugin"
import type { Account } from "./account.ts"
import { beside, spawnOptions } from "./cluster.ts"
import { attempt, failure, orAbsent } from "./failure.ts"
import { exists, identify, lives, type ProcessIdentity, servesFolder } from "./processes.ts"

export interface Server {
  readonly identity: ProcessIdentity
  readonly port: number
}

export interface ServerOptions {
  readonly account: Account
  readonly dataFolder: string
  readonly maxConnections: number
  /** False: no fsync, for data that may be lost. */
  readonly durable: boolean
}

interface PidFile {
  readonly pid: number
  readonly port: number
  readonly status: string
}

const readPidFile = async (dataFolder: string): Promise<PidFile | undefined> => {
  const text = await orAbsent(readFile(join(dataFolder, "postmaster.pid"), "utf8"))
  const lines = text?.split("\n") ?? []
  return text === undefined
    ? undefined
    : { pid: Number(lines[0]), port: Number(lines[3]), status: (lines[7] ?? "").trim() }
}

const logTail = async (dataFolder: string): Promise<string> => {
  const text = (await orAbsent(readFile(beside(dataFolder, "log"), "utf8"))) ?? ""
  return text.trim().split("\n").slice(-4).join(" | ")
}

/** The server that lives on this folder, if any: waits while it starts or recovers; clears away what a dead one has left. */
export const findServer = (dataFolder: string): Effect.Effect<Server | undefined, StorageError> =>
  Effect.gen(function* () {
    const real = yield* attempt(dataFolder, () => realpath(dataFolder))
    for (let waited = 0; waited < 120_000; waited += 20) {
      const file = yield* attempt(dataFolder, () => readPidFile(dataFolder))
      if (file === undefined) return undefined
      const identity = yield* attempt(dataFolder, () => identify(file.pid))
      const serves = identity === undefined ? "no" : yield* attempt(dataFolder, () => servesFolder(file.pid, real))
      if (identity === undefined || serves === "no") {
        // PostgreSQL would take a number that another process has got for a living server. Of a dead one it knows itself, and looks
        // by this file whether some of its children are still at work.
        if (exists(file.pid)) yield* attempt(dataFolder, () => orAbsent(unlink(join(dataFolder, "postmaster.pid"))))
        return undefined
      }
      if (file.status === "ready") return { identity, port: file.port }
      yield* Effect.sleep(20)
    }
    return yield* failure(
      "Unavailable",
      dataFolder,
      `The PostgreSQL on ${dataFolder} has been starting or stopping for two minutes. Read ${beside(dataFolder, "log")}.`
    )
  })

const bindable = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once("error", () => resolve(undefined))
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : undefined))
    })
  })

/** Below the range that systems hand out for outgoing connections, so that it is free again at the next start. */
const firstPort = 15_432

const freePort = async (wanted: number | undefined, tried: ReadonlySet<number>): Promise<number> => {
  const candidates = [
    ...(wanted === undefined ? [] : [wanted]),
    ...Array.from({ length: 100 }, (_, i) => firstPort + i)
  ]
  for (const port of candidates) if (!tried.has(port) && (await bindable(port)) !== undefined) return port
  return (await bindable(0)) ?? firstPort
}

/**
 * MB for a machine's memory in bytes. What a city with many sensors writes to all the time (the last pages of each datastream's index) must fit: with
 * 64 MB a reading cost PostgreSQL 1.3 times as much at 24,000,000 rows a week as in an empty table, with 512 MB no more. It is used as it is touched.
 */
const sharedBuffers = (memory: number): number => Math.min(512, Math.max(64, Math.floor(memory / 32 / 1_048_576)))

const settings = (options: ServerOptions, port: number): ReadonlyArray<string> =>
  Object.entries({
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: options.maxConnections,
    shared_buffers: `${sharedBuffers(totalmem())}MB`,
    work_mem: "8MB",
    maintenance_work_mem: "64MB",
    max_wal_size: "512MB",
    wal_level: "replica",
    io_workers: 2,
    jit: "off",
    timezone: "UTC",
    log_timezone: "UTC",
    log_min_messages: "warning",
    log_checkpoints: "off",
    cluster_name: "mahalla",
    ...(options.durable ? {} : { fsync: "off", full_page_writes: "off" })
  }).flatMap(([name, value]) => ["-c", `${name}=${value}`])

interface Launch {
  readonly pid: number | undefined
  /** Set when the program has ended. */
  readonly ended: () => string | undefined
}

/** In a session of its own: what ends our process group must not end the database before we have drained. */
const launch = (options: ServerOptions, port: number): Launch => {
  const { account, dataFolder } = options
  const log = openSync(beside(dataFolder, "log"), "a", 0o600)
  const args = ["-D", dataFolder, ...settings(options, port)]
  // pg_ctl drops an administrator's rights, which PostgreSQL refuses on Windows as it refuses root elsewhere.
  const [command, full] =
    process.platform === "win32"
      ? account.command(account.binaries.pgCtl, [
          "start",
          "-W",
          "-D",
          dataFolder,
          "-o",
          args
            .slice(2)
            .map((word) => `"${word}"`)
            .join(" ")
        ])
      : account.command(account.binaries.postgres, args)
  const child = spawn(command, [...full], { ...spawnOptions(account), detached: true, stdio: ["ignore", log, log] })
  closeSync(log)
  let ended: string | undefined
  child.once("error", (cause) => (ended = cause.message))
  child.once("exit", (code, signal) => {
    if (process.platform !== "win32" || code !== 0) ended = `it ended with ${signal ?? code}`
  })
  child.unref()
  return { pid: child.pid, ended: () => ended }
}

/** One try. `busy`: the port was taken in the meantime; `held`: children of a killed server have not gone yet. */
const startOnce = (options: ServerOptions, port: number): Effect.Effect<Server | "busy" | "held", StorageError> =>
  Effect.gen(function* () {
    const { dataFolder } = options
    const offset = yield* attempt(dataFolder, async () => (await orAbsent(stat(beside(dataFolder, "log"))))?.size ?? 0)
    const started = yield* Effect.try({
      try: () => launch(options, port),
      catch: (cause) => failure("Unavailable", dataFolder, `PostgreSQL did not start: ${String(cause)}.`, cause)
    })
    for (let waited = 0; waited < 300_000; waited += 5) {
      const ended = started.ended()
      if (ended !== undefined) {
        const text = yield* attempt(dataFolder, async () =>
          ((await orAbsent(readFile(beside(dataFolder, "log")))) ?? Buffer.alloc(0)).subarray(offset).toString()
        )
        if (/could not bind|could not create any TCP/.test(text)) return "busy"
        if (/shared memory block .* is still in use|pre-existing shared memory/.test(text)) return "held"
        const tail = yield* attempt(dataFolder, () => logTail(dataFolder))
        return yield* failure(
          text.includes("No space left") ? "Full" : "DataFolder",
          dataFolder,
          `PostgreSQL did not start on ${dataFolder}: ${ended}. Its last words: ${tail}. Correct what they say and start again.`
        )
      }
      const file = yield* attempt(dataFolder, () => readPidFile(dataFolder))
      if (file?.status === "ready" && (file.pid === started.pid || process.platform === "win32")) {
        const identity = yield* attempt(dataFolder, () => identify(file.pid))
        if (identity !== undefined) return { identity, port: file.port }
      }
      yield* Effect.sleep(5)
    }
    return yield* failure(
      "Unavailable",
      dataFolder,
      `PostgreSQL has not become ready on ${dataFolder} in five minutes.`
    )
  })

/** Starts a server where none lives. `fixed`: on exactly that port, for clients that know it already. */
export const startServer = (
  options: ServerOptions,
  port: { readonly wanted?: number; readonly fixed?: number }
): Effect.Effect<Server, StorageError> =>
  Effect.gen(function* () {
    const { dataFolder } = options
    const log = beside(dataFolder, "log")
    yield* attempt(log, async () => {
      if (((await orAbsent(stat(log)))?.size ?? 0) > 5_000_000) await rename(log, `${log}.1`)
    })
    const tried = new Set<number>()
    for (let round = 0; round < 100; round++) {
      const next = port.fixed ?? (yield* attempt(dataFolder, () => freePort(port.wanted, tried)))
      const server = yield* startOnce(options, next)
      if (typeof server !== "string") return server
      if (server === "busy" && port.fixed === undefined) tried.add(next)
      else yield* Effect.sleep(100)
    }
    return yield* failure(
      "Unavailable",
      dataFolder,
      `PostgreSQL did not get its port${port.fixed === undefined ? "" : ` ${port.fixed}`}. Read ${log}.`
    )
  })

/** Ends the server: its clients are disconnected, everything is written, the next start needs no recovery. */
export const stopServer = (options: ServerOptions, server: Server): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const { account, dataFolder } = options
    const { pid } = server.identity
    const signal = (name: NodeJS.Signals) => Effect.ignore(Effect.try(() => process.kill(pid, name)))
    if (process.platform === "win32")
      spawn(account.binaries.pgCtl, ["stop", "-m", "fast", "-W", "-D", dataFolder], spawnOptions(account)).unref()
    else yield* signal("SIGINT")
    for (let waited = 0; yield* attempt(dataFolder, () => lives(server.identity)); waited += 10) {
      // Stop now and recover at the next start: only when a clean stop hangs.
      if (waited === 60_000) yield* signal("SIGQUIT")
      if (waited > 70_000)
        return yield* failure("Unavailable", dataFolder, `PostgreSQL ${pid} does not stop. End it and start again.`)
      yield* Effect.sleep(10)
    }
  })
