/**
 * `kill -9` of the edge and of the city, in any order, under load: in the end the city has every reading that a device was told is taken, exactly once.
 * `MAHALLA_SOAK=1` runs 60 rounds.
 */
import { randomInt } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { connect } from "mqtt"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { edgeStatus } from "../edge/index.ts"
import { freePort } from "../../../../scripts/services/port.ts"
import { type Killable, startProcess } from "./edge/processes.ts"
import { openStage, type Stage } from "./edge/stage.ts"

const rounds = process.env["MAHALLA_SOAK"] === "1" ? 60 : 4
const names = ["meter-1", "meter-2", "meter-3", "meter-4"]
const tokenOf = (name: string) => `the token of ${name}`.replaceAll(" ", "-")

let stage: Stage
let folder: string
let port: number
let city: Killable | undefined
let edge: Killable | undefined
/** Whatever was started, ready or not. */
const alive = new Set<() => Promise<void>>()

const startCity = async () => void (city = await startProcess(stage.city, (kill) => alive.add(kill)))
const startEdge = async () =>
  void (edge = await startProcess(
    {
      edge: {
        folder,
        listen: [`mqtt://127.0.0.1:${port}`],
        to: stage.to,
        token: stage.token,
        // So small that many are begun and removed.
        segmentBytes: 30_000
      }
    },
    (kill) => alive.add(kill)
  ))

beforeAll(async () => {
  stage = await openStage(inject("postgresUrl"), names)
  folder = join(stage.folder, "edge")
  mkdirSync(folder)
  writeFileSync(
    join(folder, "devices.json"),
    JSON.stringify(Object.fromEntries(names.map((name) => [name, tokenOf(name)])))
  )
  port = await freePort()
  await Promise.all([startCity(), startEdge()])
})
afterAll(async () => {
  await Promise.all([...alive].map((kill) => kill()))
  await stage?.close()
})

/** Publishes as fast as it is answered, some at a time; every value is another one, and every second one says its own time. */
const load = () => {
  const acknowledged = new Set<number>()
  let going = true
  let open = 0
  let value = 0
  const clients = names.map((name, place) => {
    const client = connect(`mqtt://127.0.0.1:${port}`, {
      username: tokenOf(name),
      clientId: name,
      clean: false,
      reconnectPeriod: 200,
      connectTimeout: 2_000
    })
    client.setMaxListeners(0)
    client.on("error", () => undefined)
    const began = Date.now() - 3_600_000
    let sent = 0
    const next = () => {
      if (!going) return
      const id = ++value
      open++
      const values = { count: id }
      const body = place % 2 === 0 ? { ts: began + ++sent, values } : values
      client.publish("v1/devices/me/telemetry", JSON.stringify(body), { qos: 1 }, (error) => {
        open--
        if (!error) acknowledged.add(id)
        setTimeout(next, 2)
      })
    }
    client.once("connect", () => {
      for (let count = 0; count < 20; count++) next()
    })
    return client
  })
  return {
    acknowledged,
    open: () => open,
    rest: () => void (going = false),
    close: () => Promise.all(clients.map((client) => client.endAsync(true)))
  }
}

test(
  `what_a_device_was_told_is_taken_is_stored_exactly_once_after_${rounds}_rounds_of_kills`,
  async () => {
    const { acknowledged, close, open, rest } = load()
    for (let round = 0; round < rounds; round++) {
      const before = acknowledged.size
      while (acknowledged.size < before + 300) await pause(20)
      await pause(randomInt(400))
      const victims = [
        { kill: () => edge?.kill(), start: startEdge },
        { kill: () => city?.kill(), start: startCity }
      ]
      const chosen = round % 3 === 2 ? victims : [victims[randomInt(2)]!]
      for (const { kill } of chosen) await kill()
      await pause(randomInt(500))
      await Promise.all(chosen.map(({ start }) => start()))
    }
    rest()
    while (open() > 0) await pause(50)
    await close()
    for (let left = 600; (await edgeStatus(folder)).backlog > 0; left--) {
      expect(left, "The backlog does not come to its end").toBeGreaterThan(0)
      await pause(100)
    }
    const rows = await stage.sql<{ value: number; own: boolean; times: number }>(
      `select r.value::int as value, (d.name in ('meter-1', 'meter-3')) as own, count(*)::int as times
       from mahalla.reading r join mahalla.datastream s on s.number = r.datastream join mahalla.device d on d.id = s.device_id
       group by 1, 2`
    )
    const times = new Map(rows.map(({ own, times, value }) => [value, { own, times }]))
    expect([...acknowledged].filter((id) => !times.has(id))).toEqual([])
    expect(rows.filter(({ own, times }) => own && times > 1)).toEqual([])
    // Without a time of its own, one that was taken and whose answer was lost is another one when it is sent again.
    const again = rows.filter(({ own, times }) => !own && times > 1).length
    expect(again).toBeLessThanOrEqual(rounds * 40)
    expect(await stage.sql("select reason, detail from mahalla.dead_letter")).toEqual([])
    console.info(
      `${rounds} rounds: ${acknowledged.size} acknowledged, ${rows.length} stored, ${again} of them sent again`
    )
  },
  60_000 + rounds * 30_000
)
