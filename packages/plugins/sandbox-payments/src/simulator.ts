#!/usr/bin/env node
/**
 * The payment sandbox as a process of its own: pays nobody, forgets nothing, and misbehaves on a seeded schedule.
 *
 *     mahalla-sandbox-payments --port 0 --data payments.ndjson --seed 7 --faults lost-after=0.1,slow=0.05
 *
 * Prints one line of JSON with its port, pid and data file. Exits with 3 when another process works on the data file.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { dirname, resolve } from "node:path"
import { parseArgs } from "node:util"
import { Book, BookLocked } from "./simulator/book.ts"
import { parseFaults, Schedule } from "./simulator/faults.ts"
import { makeServer } from "./simulator/server.ts"

const { values } = parseArgs({
  options: {
    /** 0: any free one. */
    port: { type: "string", default: "0" },
    data: { type: "string" },
    seed: { type: "string", default: "1" },
    faults: { type: "string", default: "" },
    currency: { type: "string", default: "UZS" },
    /** Milliseconds until what is pending or late happens. */
    settle: { type: "string", default: "2000" },
    /** Milliseconds by which a slow answer is late. */
    slow: { type: "string", default: "30000" },
    /** Milliseconds without a request after which it ends; 0: never. */
    idle: { type: "string", default: "0" }
  }
})

const stop = (code: number, message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

const open = (path: string): Book => {
  try {
    mkdirSync(dirname(path), { recursive: true })
    return new Book(path)
  } catch (error) {
    return stop(error instanceof BookLocked ? 3 : 1, String(error instanceof Error ? error.message : error))
  }
}

const schedule = (): Schedule => {
  try {
    return new Schedule(parseFaults(values.faults), Number(values.seed))
  } catch (error) {
    return stop(2, String(error instanceof Error ? error.message : error))
  }
}

const faults = schedule()
const data = values.data === undefined ? stop(2, "Say where to keep the payments: --data FILE.") : resolve(values.data)
const state = `${data}.state.json`
const book = open(data)
let idle: NodeJS.Timeout | undefined

const announced = (): string | undefined => (existsSync(state) ? readFileSync(state, "utf8") : undefined)

const server = makeServer({
  book,
  schedule: faults,
  data,
  currency: values.currency,
  settle: Number(values.settle),
  slow: Number(values.slow),
  // oxlint-disable-next-line house/no-wall-clock -- a process of its own, without Effect
  clock: () => Date.now(),
  onRequest: () => idle?.refresh()
})

/** What others find us by; undefined before we listen. */
let line: string | undefined

const announce = () => {
  if (line === undefined) return
  writeFileSync(`${state}.${process.pid}`, line, { mode: 0o600 })
  renameSync(`${state}.${process.pid}`, state)
}

const close = () => {
  if (announced() === line) rmSync(state, { force: true })
  server.close()
  server.closeAllConnections()
  book.close()
  process.exit(0)
}
process.on("SIGTERM", close)
process.on("SIGINT", close)

server.on("error", (error) => stop(1, error.message))
server.listen(Number(values.port), "127.0.0.1", () => {
  line = JSON.stringify({ port: (server.address() as AddressInfo).port, pid: process.pid, data })
  announce()
  setInterval(() => {
    // Whoever removed the folder and made it anew has a simulator of its own there by now.
    if (!book.isAt(data)) close()
    if (announced() === undefined) announce()
  }, 1_000)
  if (Number(values.idle) > 0) idle = setTimeout(close, Number(values.idle))
  process.stdout.write(`${line}\n`)
})
