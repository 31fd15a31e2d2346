/**
 * `kill -9` of the city, which is broker, intake and judge in one, and of its PostgreSQL, at random moments while devices send. Every reading that was
 * acknowledged is there, once, and every alert that the readings call for was raised, once. `MAHALLA_SOAK=1` runs 50 rounds.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { freePort } from "../../../scripts/services/port.ts"
import { databaseOf, pause } from "./test/kill/processes.ts"
import { devices, pressureFrom, timeOf, valueOf } from "./test/telemetry/plan.ts"
import { cityProcess, eventually } from "./test/telemetry/process.ts"
import { type Publisher, startPublisher } from "./test/telemetry/publisher.ts"
import { readStored } from "./test/telemetry/stored.ts"

const rounds = process.env["MAHALLA_SOAK"] === "1" ? 50 : 4
const home = mkdtempSync(join(tmpdir(), "mahalla-readings-"))
const database = databaseOf(home)
const mqttPort = await freePort()
const city = cityProcess({ home, devices, mqttPort, port: await freePort() })

afterAll(async () => {
  await database.close()
  await city.kill()
  try {
    database.kill()
  } catch {
    // It was never there.
  }
  if (process.env["KILL_KEEP"] === undefined) rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

/** Episodes of high pressure among readings in their order. */
const episodes = (places: ReadonlyArray<number>): number =>
  places.filter((place, index) => valueOf(place) > 10 && (index === 0 || valueOf(places[index - 1]!) <= 10)).length

it(
  "acknowledged_readings_and_their_alerts_survive_kills_of_the_city_and_of_postgresql_once_each",
  async () => {
    await city.start()
    const begin = Date.now() - 80 * 86_400_000
    // They have been there all the time.
    await database.query("update mahalla.device set created_at = now() - interval '90 days'")
    await city.kill()
    await city.start()
    const publishers = new Map<string, Publisher>(
      devices.map((device) => [device, startPublisher(`mqtt://127.0.0.1:${mqttPort}`, device, pressureFrom(begin))])
    )
    let hits = 0
    for (let round = 0; round < rounds; round++) {
      await pause(700 + Math.random() * 1500)
      const before = [...publishers.values()].reduce((sum, { acknowledged }) => sum + acknowledged.size, 0)
      if (round % 3 === 2) {
        database.kill()
        await eventually(
          async () => database.pid() ?? Promise.reject(new Error("not yet")),
          () => true
        )
      } else {
        await city.kill()
        await city.start()
      }
      await eventually(
        async () => [...publishers.values()].reduce((sum, { acknowledged }) => sum + acknowledged.size, 0),
        (after) => after > before + 50
      )
      hits++
    }
    expect(hits).toBe(rounds)
    await Promise.all([...publishers.values()].map(({ stop }) => stop()))

    const { stored, twice, missing } = await readStored(database.query, publishers, (place) => timeOf(begin, place))
    expect(twice).toEqual([])
    expect(missing).toEqual([])
    const acknowledged = [...publishers.values()].reduce((sum, publisher) => sum + publisher.acknowledged.size, 0)
    expect(acknowledged).toBeGreaterThan(rounds * 50)

    // What was sent in order and repeated in order came in order, so each time of high pressure is one episode.
    const expected = devices.map((device) => {
      const places = [...publishers.get(device)!.acknowledged].sort((left, right) => left - right)
      return { device, raised: episodes(places) }
    })
    const alerts = await eventually(
      () =>
        database.query<{ device: string; raised: number }>(
          `select data ->> 'originatorName' as device, count(*)::int as raised from mahalla.civic_case where type = 'alert' group by 1 order by 1`
        ),
      (found) =>
        found.reduce((sum, { raised }) => sum + raised, 0) >= expected.reduce((sum, { raised }) => sum + raised, 0)
    )
    expect(alerts).toEqual(expected.filter(({ raised }) => raised > 0))
    process.stdout.write(
      `${rounds} kills; ${acknowledged} readings acknowledged, ${stored} stored; ${expected.reduce((sum, { raised }) => sum + raised, 0)} alerts\n`
    )
  },
  rounds * 60_000 + 120_000
)
