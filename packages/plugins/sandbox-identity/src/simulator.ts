#!/usr/bin/env node
/**
 * The register of people as a process of its own: knows everybody, keeps nobody, and misbehaves on a seeded schedule.
 *
 *     mahalla-sandbox-identity --port 0 --seed 7 --faults lost-after=0.1,slow=0.05
 *
 * Prints one line of JSON with its port and pid.
 */
import type { AddressInfo } from "node:net"
import { parseArgs } from "node:util"
import { parseFaults, Schedule } from "./simulator/faults.ts"
import { makeServer } from "./simulator/server.ts"

const { values } = parseArgs({
  options: {
    /** 0: any free one. */
    port: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    faults: { type: "string", default: "" },
    /** Milliseconds by which a slow answer is late. */
    slow: { type: "string", default: "60000" },
    /** Ends when its standard input does: with the process that started it, however that one ended. */
    "with-parent": { type: "boolean", default: false }
  }
})

const stop = (code: number, message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

const schedule = (): Schedule => {
  try {
    return new Schedule(parseFaults(values.faults), Number(values.seed))
  } catch (error) {
    return stop(2, String(error instanceof Error ? error.message : error))
  }
}

const server = makeServer({ schedule: schedule(), slow: Number(values.slow) })
const close = () => process.exit(0)
process.on("SIGTERM", close)
process.on("SIGINT", close)
if (values["with-parent"]) process.stdin.on("end", close).on("error", close).resume()

server.on("error", (error) => stop(1, error.message))
server.listen(Number(values.port), "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ port, pid: process.pid })}\n`)
})
