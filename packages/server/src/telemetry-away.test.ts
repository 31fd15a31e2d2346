/**
 * PostgreSQL, and an outside broker, are away for a while and come back, while devices send by every transport: the city
 * holds what it has and no more, says what is wrong, goes on by itself, and has lost nothing that it acknowledged. `MAHALLA_SOAK=1`: PostgreSQL is away for
 * five minutes.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { mosquitto } from "../../../scripts/services/mosquitto.ts"
import { freePort } from "../../../scripts/services/port.ts"
import { databaseAt, pause, type Asked } from "./test/kill/processes.ts"
import { startCoapSender, startHttpSender, startTcpLogger } from "./test/telemetry/loggers.ts"
import { slug } from "./test/telemetry/plan.ts"
import { type CityProcess, cityProcess, eventually } from "./test/telemetry/process.ts"
import { type Publisher, startPublisher } from "./test/telemetry/publisher.ts"
import { readStored } from "./test/telemetry/stored.ts"

const seconds = process.env["MAHALLA_SOAK"] === "1" ? 300 : 6
/** What a city may hold more than before while it can store nothing: five transports, each with its room, and what the runtime has not given back. */
const room = 250_000_000
const devices = [
  ...["own", "outside", "http", "tcp", "coap", "late-http", "late-coap"],
  ...["remembered", "forgotten-1", "forgotten-2"]
]
const home = mkdtempSync(join(tmpdir(), "mahalla-away-"))
const scope = Scope.makeUnsafe()
const begin = Date.now() - 20 * 86_400_000
const timeOf = (place: number) => begin + place * 1000
const messageOf = (place: number) => JSON.stringify({ ts: timeOf(place), values: { pressure: 5 } })

let broker: Effect.Success<ReturnType<typeof mosquitto>>
let city: CityProcess
let database: Asked
let url: string
let ports: { readonly mqtt: number; readonly tcp: number; readonly coap: number }

/** The city's PostgreSQL, from one `start` to the next `stop`. */
const postgresAt = (port: number) => {
  let running: Scope.Closeable | undefined
  return {
    start: () => {
      running = Scope.makeUnsafe()
      const launch = launchPostgres({ dataFolder: join(home, "postgres"), port, durable: false })
      return Effect.runPromise(Scope.provide(launch, running))
    },
    stop: async () => {
      if (running !== undefined) await Effect.runPromise(Scope.close(running, Exit.void))
    }
  }
}
const postgres = postgresAt(await freePort())

beforeAll(async () => {
  broker = await Effect.runPromise(Scope.provide(mosquitto(["max_queued_messages 0"]), scope))
  const { admin, owner } = await postgres.start()
  database = databaseAt(Redacted.value(admin).replace("/postgres?", "/mahalla?"))
  ports = { mqtt: await freePort(), tcp: await freePort(), coap: await freePort() }
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  city = cityProcess({
    home,
    devices,
    port,
    mqttPort: ports.mqtt,
    tcpPort: ports.tcp,
    coapPort: ports.coap,
    databaseUrl: Redacted.value(owner),
    broker: broker.url
  })
  await city.start()
})

afterAll(async () => {
  await city?.kill()
  await database?.close()
  await postgres.stop()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

const health = async () => {
  const answer = await fetch(`${url}/health/ready`)
  const body = (await answer.json()) as {
    readonly database: string
    readonly plugins: ReadonlyArray<{ readonly instance: string; readonly status: string }>
  }
  const of = (name: string) => body.plugins.find(({ instance }) => instance.includes(name))?.status
  return { status: answer.status, database: body.database, consumer: of("mqtt-consumer") }
}

/** Those of a test, stopped at its end however it ends. */
const running = new Set<Publisher>()
afterEach(async () => {
  await Promise.all([...running].map(({ stop }) => Promise.race([stop(), pause(5000)])))
  running.clear()
})

const outside = (name: string): readonly [string, Publisher] => [
  name,
  startPublisher(broker.url, name, messageOf, `mahalla/${slug}/${name}/telemetry`, 200)
]

const grown = (publishers: ReadonlyMap<string, Publisher>, by: number) => {
  for (const publisher of publishers.values()) running.add(publisher)
  const before = new Map([...publishers].map(([name, { acknowledged }]) => [name, acknowledged.size]))
  return eventually(
    async () => [...publishers].filter(([name, { acknowledged }]) => acknowledged.size < before.get(name)! + by),
    (slow) => slow.length === 0
  ).then((slow) => expect(slow.map(([name]) => name)).toEqual([]))
}

/** Stops them; what they were told is there, once. */
const expectKept = async (publishers: ReadonlyMap<string, Publisher>) => {
  await Promise.all([...publishers.values()].map(({ stop }) => stop()))
  // Of what Mosquitto has taken the last is still on its way.
  const { missing, stored, twice } = await eventually(
    () => readStored(database.query, publishers, timeOf),
    ({ missing: left }) => left.length === 0
  )
  expect(twice).toEqual([])
  expect(missing).toEqual([])
  return stored
}

describe("PostgreSQL that is away under load", () => {
  it(
    "costs_nothing_that_was_acknowledged_and_no_more_memory_than_there_is_room_for",
    async () => {
      const publishers = new Map<string, Publisher>([
        ["own", startPublisher(`mqtt://127.0.0.1:${ports.mqtt}`, "own", messageOf)],
        outside("outside"),
        ["http", startHttpSender(url, "http", messageOf)],
        ["tcp", startTcpLogger(ports.tcp, "tcp", messageOf)],
        ["coap", startCoapSender(`coap://127.0.0.1:${ports.coap}`, "coap", messageOf)]
      ])
      await grown(publishers, 100)
      const before = city.resident()
      await postgres.stop()
      const lateHttp = startHttpSender(url, "late-http", messageOf)
      const lateCoap = startCoapSender(`coap://127.0.0.1:${ports.coap}`, "late-coap", messageOf)
      let most = 0
      const until = Date.now() + seconds * 1000
      while (Date.now() < until) {
        await pause(250)
        most = Math.max(most, city.resident())
      }
      expect(most - before).toBeLessThan(room)
      expect(await health()).toEqual({ status: 503, database: "down", consumer: "up" })
      expect([...lateHttp.told]).toEqual([expect.stringMatching(/^503, Retry-After \d+$/)])
      expect([...lateCoap.told]).toEqual(["5.03"])
      await postgres.start()
      const all = new Map([...publishers, ["late-http", lateHttp], ["late-coap", lateCoap]])
      await grown(all, 20)
      expect(await health()).toEqual({ status: 200, database: "up", consumer: "up" })
      const stored = await expectKept(all)
      const counts = [...all].map(([name, { acknowledged }]) => `${name} ${acknowledged.size}`).join(", ")
      process.stdout.write(
        `PostgreSQL away for ${seconds} s: ${counts}; ${stored} stored; at most ${Math.round((most - before) / 1e6)} MB more\n`
      )
    },
    seconds * 2000 + 120_000
  )
})

describe("an outside broker that vanishes under load", () => {
  const vanished = async (signal: "SIGTERM" | "SIGKILL") => {
    await Effect.runPromise(broker.stop(signal))
    await eventually(health, ({ consumer }) => consumer === "down")
    expect(await health()).toMatchObject({ status: 200, consumer: "down" })
  }
  const back = async () => {
    await Effect.runPromise(broker.start)
    await eventually(health, ({ consumer }) => consumer === "up")
  }

  it("and_comes_back_with_what_it_had_has_lost_and_doubled_nothing", async () => {
    const publishers = new Map([outside("remembered")])
    await grown(publishers, 200)
    await vanished("SIGTERM")
    await back()
    await grown(publishers, 200)
    await expectKept(publishers)
  }, 180_000)

  it("and_comes_back_without_its_memory_is_read_again_from_then_on", async () => {
    const first = new Map([outside("forgotten-1")])
    await grown(first, 200)
    await expectKept(first)
    await vanished("SIGKILL")
    await rm(join(broker.folder, "mosquitto.db"), { force: true })
    await back()
    const second = new Map([outside("forgotten-2")])
    await grown(second, 200)
    await expectKept(second)
  }, 180_000)
})
