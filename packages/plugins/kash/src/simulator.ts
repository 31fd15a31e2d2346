#!/usr/bin/env node
/**
 * Kash as a process of its own: tops nobody up, forgets nothing, and misbehaves on a seeded schedule.
 *
 *     mahalla-kash-simulator --port 0 --data kash.ndjson --key sandbox-key-sandbox --seed 7 --faults lost-after=0.1,slow=0.05
 *
 * Prints one line of JSON with its port, pid and data file. Exits with 3 when another process works on the data file.
 */
import { mkdirSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { dirname, resolve } from "node:path"
import { parseArgs } from "node:util"
import { parseFaults, Schedule } from "./simulator/faults.ts"
import { Gateway, type Payment } from "./simulator/gateway.ts"
import { Journal, JournalLocked } from "./simulator/journal.ts"
import { makeServer } from "./simulator/server.ts"

const { values } = parseArgs({
  options: {
    /** 0: any free one. */
    port: { type: "string", default: "0" },
    data: { type: "string" },
    key: { type: "string", default: "sandbox-key-sandbox" },
    /** Where callbacks go; none are sent without it. */
    callback: { type: "string" },
    "callback-secret": { type: "string", default: "sandbox-callback-secret" },
    seed: { type: "string", default: "1" },
    faults: { type: "string", default: "" },
    /** Milliseconds until what is pending or late happens. */
    settle: { type: "string", default: "2000" },
    /** Milliseconds by which a slow answer is late. */
    slow: { type: "string", default: "60000" },
    /** Milliseconds by which the clock is off where it is. */
    skew: { type: "string", default: "3600000" },
    /** Lines on a page of the register. */
    page: { type: "string", default: "100" },
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

const data = values.data === undefined ? stop(2, "Say where to keep the payments: --data FILE.") : resolve(values.data)
const schedule = made(() => new Schedule(parseFaults(values.faults), Number(values.seed)))
const journal = made(() => {
  mkdirSync(dirname(data), { recursive: true })
  return new Journal<Payment>(data)
})

// oxlint-disable-next-line house/no-wall-clock -- a process of its own, without Effect
const clock = () => Date.now()
const gateway = new Gateway(journal, { settle: Number(values.settle), skew: Number(values.skew) })
const server = makeServer({
  gateway,
  schedule,
  key: values.key,
  callback: values.callback === undefined ? undefined : { url: values.callback, secret: values["callback-secret"] },
  slow: Number(values.slow),
  pageSize: Number(values.page),
  clock
})
// What is due happens, and is told of, also when nobody asks.
setInterval(() => gateway.settle(clock()), 200)

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
server.listen(Number(values.port), "127.0.0.1", () =>
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port, pid: process.pid, data })}\n`)
)
