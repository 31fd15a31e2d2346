#!/usr/bin/env node
/**
 * ASBT's sandbox as a process of its own: fines nobody, forgets nothing, and misbehaves on a seeded schedule.
 *
 *     ASBT_SECRET=… mahalla-sandbox-asbt --port 0 --data filings.ndjson --decide 4000 --seed 7 --faults lost-after=0.1,slow=0.05
 *
 * Prints one line of JSON with its port and pid. Exits with 3 when another process works on the data file.
 */
import { mkdirSync } from "node:fs"
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
    /** Milliseconds after which it decides by itself; 0: never. */
    decide: { type: "string", default: "0" },
    /** Milliseconds until what is late is there. */
    late: { type: "string", default: "2000" },
    /** Milliseconds by which a slow answer is late. */
    slow: { type: "string", default: "30000" },
    /** Ends when its standard input does: with the process that started it, however that one ended. */
    "with-parent": { type: "boolean", default: false }
  }
})

const stop = (code: number, message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

const attempt = <A>(code: (error: unknown) => number, make: () => A): A => {
  try {
    return make()
  } catch (error) {
    return stop(code(error), error instanceof Error ? error.message : String(error))
  }
}

const secret = process.env["ASBT_SECRET"] ?? stop(2, "Say what both sides sign with: ASBT_SECRET.")
const data = values.data === undefined ? stop(2, "Say where to keep the filings: --data FILE.") : resolve(values.data)
const schedule = attempt(
  () => 2,
  () => new Schedule(parseFaults(values.faults), Number(values.seed))
)
const book = attempt(
  (error) => (error instanceof BookLocked ? 3 : 1),
  () => {
    mkdirSync(dirname(data), { recursive: true })
    return new Book(data)
  }
)

const server = makeServer({
  book,
  schedule,
  secret,
  decide: Number(values.decide),
  late: Number(values.late),
  slow: Number(values.slow),
  // oxlint-disable-next-line house/no-wall-clock -- a process of its own, without Effect
  clock: () => Date.now()
})

const close = () => {
  server.close()
  server.closeAllConnections()
  book.close()
  process.exit(0)
}
process.on("SIGTERM", close)
process.on("SIGINT", close)
if (values["with-parent"]) process.stdin.on("end", close).on("error", close).resume()

server.on("error", (error) => stop(1, error.message))
server.listen(Number(values.port), "127.0.0.1", () => {
  setInterval(server.tick, 100)
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port, pid: process.pid })}\n`)
})
