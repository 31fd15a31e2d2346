/**
 * `kill -9` of the city at random moments while devices send by TCP, which counts what is committed, and by CoAP in confirmable messages. Every reading
 * that was acknowledged is there, once. `MAHALLA_SOAK=1` runs 50 rounds.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { freePort } from "../../../scripts/services/port.ts"
import { databaseOf, pause } from "./test/kill/processes.ts"
import { startCoapSender, startTcpLogger } from "./test/telemetry/loggers.ts"
import { pressureFrom, timeOf } from "./test/telemetry/plan.ts"
import { cityProcess, eventually } from "./test/telemetry/process.ts"
import type { Publisher } from "./test/telemetry/publisher.ts"
import { readStored } from "./test/telemetry/stored.ts"

const rounds = process.env["MAHALLA_SOAK"] === "1" ? 50 : 3
/** Milliseconds between two readings: hundreds of thousands of them, and none is of the future. */
const every = 1000
const home = mkdtempSync(join(tmpdir(), "mahalla-loggers-"))
const database = databaseOf(home)
const [tcpPort, coapPort, port, mqttPort] = [await freePort(), await freePort(), await freePort(), await freePort()]
const city = cityProcess({ home, devices: ["logger", "meter"], port, mqttPort, tcpPort, coapPort })

afterAll(async () => {
  await database.close()
  await city.kill()
  try {
    database.kill()
  } catch {
    // It was never there.
  }
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

it(
  "acknowledged_readings_by_tcp_and_coap_survive_kills_of_the_city_once_each",
  async () => {
    await city.start()
    const begin = Date.now() - 80 * 86_400_000
    const publishers = new Map<string, Publisher>([
      ["logger", startTcpLogger(tcpPort, "logger", pressureFrom(begin, every))],
      ["meter", startCoapSender(`coap://127.0.0.1:${coapPort}`, "meter", pressureFrom(begin, every))]
    ])
    const counts = async () => [...publishers.values()].map(({ acknowledged }) => acknowledged.size)
    for (let round = 0; round < rounds; round++) {
      const before = await counts()
      await eventually(counts, (after) => after.every((count, index) => count > before[index]! + 20))
      await pause(Math.random() * 500)
      await city.kill()
      await city.start()
    }
    await Promise.all([...publishers.values()].map(({ stop }) => stop()))
    const { missing, stored, twice } = await readStored(database.query, publishers, (place) =>
      timeOf(begin, place, every)
    )
    expect(twice).toEqual([])
    expect(missing).toEqual([])
    process.stdout.write(`${rounds} kills; ${(await counts()).join(" and ")} acknowledged, ${stored} stored\n`)
  },
  rounds * 60_000 + 60_000
)
