#!/usr/bin/env node
/**
 * UzCard's gateway as a process of its own: pays nobody, forgets nothing but card numbers, and misbehaves on a seeded schedule.
 *
 *     mahalla-uzcard-simulator --port 0 --data uzcard.ndjson --user sandbox --password sandbox-password --faults lost-after=0.1,slow=0.05
 *
 * Prints one line of JSON with its port, pid and data file. Exits with 3 when another process works on the data file.
 */
import { mkdirSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { dirname, resolve } from "node:path"
import { parseArgs } from "node:util"
import { parseFaults, Schedule } from "./simulator/faults.ts"
import { Journal, JournalLocked } from "./simulator/journal.ts"
import { Processing, type Thing } from "./simulator/processing.ts"
import { makeServer } from "./simulator/server.ts"

const { values } = parseArgs({
  options: {
    /** 0: any free one. */
    port: { type: "string", default: "0" },
    data: { type: "string" },
    user: { type: "string", default: "sandbox" },
    password: { type: "string", default: "sandbox-password" },
    seed: { type: "string", default: "1" },
    faults: { type: "string", default: "" },
    /** Milliseconds until what is pending or late happens. */
    settle: { type: "string", default: "2000" },
    /** Milliseconds by which a slow answer is late. */
    slow: { type: "string", default: "60000" },
    /** Milliseconds by which the clock is off where it is. */
    skew: { type: "string", default: "3600000" },
    /** Ends when standard input does. */
    "with-parent": { type: "boolean", default: false }
  }
})

const stop = (code: number, message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

const made = <A>(make: () => A): A => {
  try {
    return make()
  } catch (error) {
    return stop(error instanceof JournalLocked ? 3 : 2, error instanceof Error ? error.message : String(error))
  }
}

const data = values.data === undefined ? stop(2, "Say where to keep the credits: --data FILE.") : resolve(values.data)
const schedule = made(() => new Schedule(parseFaults(values.faults), Number(values.seed)))
const journal = made(() => {
  mkdirSync(dirname(data), { recursive: true })
  return new Journal<Thing>(data)
})

// oxlint-disable-next-line house/no-wall-clock -- a process of its own, without Effect
const clock = () => Date.now()
const processing = new Processing(journal, { settle: Number(values.settle), skew: Number(values.skew) })
let port = 0
const server = makeServer({
  processing,
  schedule,
  user: values.user,
  password: values.password,
  slow: Number(values.slow),
  address: () => `http://127.0.0.1:${port}`,
  clock
})

const close = () => {
  server.close()
  server.closeAllConnections()
  journal.close()
  process.exit(0)
}
process.on("SIGTERM", close)
process.on("SIGINT", close)
if (values["with-parent"]) process.stdin.resume().on("end", close)

server.on("error", (error) => stop(1, error.message))
server.listen(Number(values.port), "127.0.0.1", () => {
  port = (server.address() as AddressInfo).port
  process.stdout.write(`${JSON.stringify({ port, pid: process.pid, data })}\n`)
})
