/** Nothing that was acknowledged is lost when the process is killed, at whatever moment. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { connect, connectAsync } from "mqtt"
import { answers, end, mosquitto } from "../../../../scripts/services/mosquitto.ts"
import { freePort } from "../../../../scripts/services/port.ts"

const rounds = process.env["MAHALLA_SOAK"] === "1" ? 50 : 3
const script = fileURLToPath(new URL("./test/ingestProcess.ts", import.meta.url))

/** `more`: client id and share of a consumer. */
const taker = (mode: "broker" | "consumer", where: string, ...more: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-killed-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const file = join(folder, "committed")
    let child: ChildProcess | undefined
    const start = () => {
      const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
      child = spawn(process.execPath, [...flags, script, mode, where, file, ...more], {
        stdio: ["ignore", "ignore", "inherit"]
      })
    }
    const kill = async () => {
      if (child !== undefined) await end(child, "SIGKILL")
    }
    yield* Effect.addFinalizer(() => Effect.promise(kill))
    const committed = async () => {
      const text = await readFile(file, "utf8").catch(() => "")
      // What was cut in the middle of its line was not committed.
      return text
        .slice(0, text.lastIndexOf("\n") + 1)
        .split("\n")
        .filter(Boolean)
    }
    return { start, kill, committed }
  })

/** Devices that publish as fast as they are answered, `window` at a time, and send again after a lost connection. */
const devices = (url: string, names: ReadonlyArray<string>, window: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const acknowledged = new Set<string>()
      let going = true
      let open = 0
      const clients = names.map((name) => {
        const options = { username: `token-of-${name}`, clientId: name, clean: false, reconnectPeriod: 100 }
        const client = connect(url, { ...options, connectTimeout: 2_000 })
        client.setMaxListeners(0)
        client.on("error", () => undefined)
        let n = 0
        const next = () => {
          if (!going) return
          const id = `${name}:${++n}`
          open++
          client.publish(`mahalla/samarkand/${name}/telemetry`, id, { qos: 1 }, (error) => {
            open--
            if (!error) acknowledged.add(id)
            setTimeout(next, 1)
          })
        }
        client.once("connect", () => {
          for (let count = 0; count < window; count++) next()
        })
        return client
      })
      return { acknowledged, open: () => open, rest: () => void (going = false), clients }
    }),
    ({ clients }) => Effect.promise(() => Promise.all(clients.map((client) => client.endAsync(true))))
  )

/** Until each has heard something: Mosquitto keeps messages for a client that it has seen once. */
const subscribed = (url: string, takers: ReadonlyArray<() => Promise<ReadonlyArray<string>>>) =>
  Effect.promise(async () => {
    const client = await connectAsync(url)
    const silent = async () =>
      (await Promise.all(takers.map((committed) => committed()))).some((all) => all.length === 0)
    while (await silent()) {
      await client.publishAsync("mahalla/samarkand/probe/telemetry", "probe:1", { qos: 1 })
      await sleep(100)
    }
    await client.endAsync()
  })

const missing = (acknowledged: ReadonlySet<string>, committed: ReadonlyArray<string>) => {
  const there = new Set(committed)
  return [...acknowledged].filter((id) => !there.has(id))
}

/** The first commits of each device in order. */
const disorder = (committed: ReadonlyArray<string>) => {
  const last = new Map<string, number>()
  return [...new Set(committed)].filter((id) => {
    const [name = "", number] = id.split(":")
    const wrong = Number(number) < (last.get(name) ?? 0)
    last.set(name, Number(number))
    return wrong
  })
}

describe("a process that is killed under load", () => {
  it.live(
    `own broker: every acknowledged message is committed at the moment of the kill, ${rounds} rounds`,
    () =>
      Effect.gen(function* () {
        const port = yield* Effect.promise(freePort)
        const { committed, kill, start } = yield* taker("broker", String(port))
        start()
        yield* Effect.promise(() => answers(port))
        const load = yield* devices(`mqtt://127.0.0.1:${port}`, ["meter-1", "meter-2", "meter-3", "meter-4"], 40)
        for (let round = 0; round < rounds; round++) {
          const before = load.acknowledged.size
          while (load.acknowledged.size < before + 200) yield* Effect.sleep(10)
          yield* Effect.promise(() => sleep(Math.random() * 300))
          yield* Effect.promise(kill)
          assert.deepEqual(missing(load.acknowledged, yield* Effect.promise(committed)), [])
          start()
        }
        load.rest()
        while (load.open() > 0) yield* Effect.sleep(20)
        const all = yield* Effect.promise(committed)
        assert.deepEqual(missing(load.acknowledged, all), [])
        assert.deepEqual(disorder(all), [])
        assert.isAbove(load.acknowledged.size, rounds * 200)
        console.info(`own broker: ${rounds} kills, ${load.acknowledged.size} acknowledged, ${all.length} committed`)
      }).pipe(Effect.scoped),
    rounds * 60_000
  )

  it.live(
    `consumer of Mosquitto: every message that Mosquitto took is committed in the end, ${rounds} rounds`,
    () =>
      Effect.gen(function* () {
        const { url } = yield* mosquitto()
        const { committed, kill, start } = yield* taker("consumer", url)
        start()
        yield* subscribed(url, [committed])
        const load = yield* devices(url, ["meter-1", "meter-2", "meter-3", "meter-4"], 10)
        for (let round = 0; round < rounds; round++) {
          const before = (yield* Effect.promise(committed)).length
          while ((yield* Effect.promise(committed)).length < before + 200) yield* Effect.sleep(20)
          yield* Effect.promise(() => sleep(Math.random() * 300))
          yield* Effect.promise(kill)
          start()
        }
        load.rest()
        while (load.open() > 0) yield* Effect.sleep(20)
        for (let tries = 0; tries < 600; tries++) {
          if (missing(load.acknowledged, yield* Effect.promise(committed)).length === 0) break
          yield* Effect.sleep(100)
        }
        const all = yield* Effect.promise(committed)
        assert.deepEqual(missing(load.acknowledged, all), [])
        assert.deepEqual(disorder(all), [])
        console.info(`consumer: ${rounds} kills, ${load.acknowledged.size} acknowledged, ${all.length} committed`)
      }).pipe(Effect.scoped),
    rounds * 60_000
  )

  it.live(
    `one of two consumers that share: what Mosquitto took is committed in the end by one of them, ${rounds} rounds`,
    () =>
      Effect.gen(function* () {
        const { url } = yield* mosquitto()
        const first = yield* taker("consumer", url, "city-1", "city")
        const second = yield* taker("consumer", url, "city-2", "city")
        first.start()
        second.start()
        yield* subscribed(url, [first.committed, second.committed])
        const load = yield* devices(url, ["meter-1", "meter-2", "meter-3", "meter-4"], 10)
        const by = ({ committed }: typeof first) => Effect.promise(committed)
        const reach = (taker: typeof first, more: number) =>
          Effect.gen(function* () {
            const before = (yield* by(taker)).length
            while ((yield* by(taker)).length < before + more) yield* Effect.sleep(20)
          })
        for (let round = 0; round < rounds; round++) {
          yield* reach(first, 100)
          yield* Effect.promise(first.kill)
          // The other one goes on by itself.
          yield* reach(second, 100)
          first.start()
        }
        load.rest()
        while (load.open() > 0) yield* Effect.sleep(20)
        const all = Effect.map(Effect.all([by(first), by(second)]), (parts) => parts.flat())
        for (let tries = 0; tries < 600; tries++) {
          if (missing(load.acknowledged, yield* all).length === 0) break
          yield* Effect.sleep(100)
        }
        const committed = yield* all
        assert.deepEqual(missing(load.acknowledged, committed), [])
        // Twice only what was under way at a kill.
        assert.isBelow(committed.length - new Set(committed).size, rounds * 4_000)
        console.info(
          `two consumers: ${rounds} kills of one, ${load.acknowledged.size} acknowledged, ${committed.length} committed`
        )
      }).pipe(Effect.scoped),
    rounds * 60_000
  )
})
