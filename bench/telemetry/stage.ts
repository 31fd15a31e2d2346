/** What the benchmarks of devices share: a PostgreSQL, a Mosquitto, the city, the floor on the same database, and devices that publish. */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { freshDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import pg from "pg"
import { mosquitto } from "../../scripts/services/mosquitto.ts"
import { freePort } from "../../scripts/services/port.ts"
import { cpuOf } from "../http/processes.ts"
import type { Sample } from "../measure.ts"
import { type Child, startChild } from "./children.ts"
import type { FloorOptions } from "./floor.ts"
import type { OursOptions, OursReady } from "./ours.ts"
import type { Job, Published } from "./publisher.ts"
import type { Sending } from "./readings.ts"

export const slug = "bench"

export interface Stage {
  readonly ours: Child<OursReady>
  readonly floor: Child<{ readonly committed: number }>
  readonly publisher: Child<unknown>
  /** Starts a peer of this folder, in the same database and on the same broker; it is stopped with the stage. */
  readonly peer: (script: string, prefix: string) => Promise<Child<unknown>>
  /** Asks as the superuser, whom no policy holds. */
  readonly sql: <Row extends object>(text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>
  readonly sending: Sending
  readonly brokerPort: number
  readonly ownPort: number
  readonly postmaster: number
  /** Publishes the next messages; true numbers come from whoever counts them. */
  readonly publish: (job: Partial<Job> & Pick<Job, "port" | "prefix" | "count">) => Promise<Published>
  /** Number of the next message on a way, of so many. */
  readonly next: (way: string, count: number) => number
}

export interface StageOptions {
  /** That publish; as many more are registered for who sends otherwise. */
  readonly devices: number
  readonly values: number
  /** Milliseconds between two readings of a device; the first are of now, and none of a run may be more than a few minutes ahead. */
  readonly step: number
  /** Days; default 90. */
  readonly retention?: 90 | 1825
  /** For Node, as `--cpu-prof`. */
  readonly flags?: ReadonlyArray<string>
}

export const numberOf = (args: ReadonlyArray<string>, name: string, otherwise: number): number =>
  Number(args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1] ?? otherwise)

/** `--profile=FOLDER`: where the city leaves its CPU profile. */
export const profiling = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const folder = args.find((arg) => arg.startsWith("--profile="))?.split("=")[1]
  return folder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${folder}`]
}

/** Runs `work` on a stage; all of it is taken down afterwards. */
export const onStage = async (options: StageOptions, work: (stage: Stage) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const children: Array<Child<unknown>> = []
  const kept = <Ready>(child: Child<Ready>): Child<Ready> => {
    children.push(child)
    return child
  }
  const play = Effect.gen(function* () {
    const { admin, pid } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const database = yield* freshDatabase(Redacted.value(admin))
    const broker = yield* mosquitto(["max_inflight_messages 0"])
    const postmaster = yield* pid
    yield* Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(database.admin) })
      client.on("error", () => {})
      await client.connect()
      const home = join(folder, "home")
      await mkdir(home)
      const ownPort = await freePort()
      const oursOptions: OursOptions = {
        databaseUrl: Redacted.value(database.owner),
        home,
        devices: 2 * options.devices,
        brokerPort: broker.port,
        prefix: "ours/",
        ownPort,
        retention: options.retention ?? 90
      }
      const floorOptions: FloorOptions = {
        databaseUrl: Redacted.value(database.admin),
        port: broker.port,
        prefix: "floor/"
      }
      const { devices, step, values } = options
      const sending = { devices, step, values, start: Date.now() }
      try {
        const ours = kept(await startChild<OursReady>("ours.ts", oursOptions, options.flags))
        const floor = kept(await startChild<{ committed: number }>("floor.ts", floorOptions))
        const publisher = kept(await startChild("publisher.ts"))
        const sent = new Map<string, number>()
        const next = (way: string, count: number) => {
          const from = sent.get(way) ?? 0
          sent.set(way, from + count)
          return from
        }
        const peer = async (script: string, prefix: string) => {
          const own = join(folder, script)
          await mkdir(own)
          return kept(await startChild(script, { ...floorOptions, prefix, home: own }))
        }
        await work({
          ...{ ours, floor, peer, publisher, sending, postmaster, brokerPort: broker.port, ownPort, next },
          sql: async <Row extends object>(text: string, given: ReadonlyArray<unknown> = []) =>
            (await client.query<Row & pg.QueryResultRow>(text, [...given])).rows,
          publish: (job) =>
            publisher.ask<Published>({
              ...sending,
              tenant: slug,
              window: 5000,
              from: next(job.prefix, job.count),
              ...job
            })
        })
      } finally {
        for (const child of children) await child.stop()
        await client.end()
      }
    })
  })
  await Effect.runPromise(Effect.scoped(play)).finally(() => rm(folder, { recursive: true, force: true }))
}

/** Milliseconds of CPU of a process and of PostgreSQL while `work` runs. */
export const costOf = async <A>({ postmaster }: Stage, pid: number, work: () => Promise<A>) => {
  const cpu = () => Promise.all([cpuOf(pid), cpuOf(postmaster)])
  const [server, database] = await cpu()
  const done = await work()
  const [serverThen, databaseThen] = await cpu()
  return { done, server: serverThen - server, database: databaseThen - database }
}

const stored = async ({ sql }: Stage) => {
  const [row] = await sql<{ stored: number; head: number; reached: number; alerts: number }>(`
    select coalesce(sum(readings), 0)::int as stored, coalesce(max(number), 0)::int as head,
      coalesce((select number from mahalla.telemetry_progress where follower = 'recent'), 0)::int as reached,
      (select count(*) from mahalla.civic_case where type = 'alert')::int as alerts
    from mahalla.reading_batch`)
  return row!
}

/**
 * Waits until the city has stored so many readings more, and until it has derived everything from them: last values and minutes of the last batch,
 * and with `judged` the alert of the last reading, for readings are judged in their order.
 */
export const untilTaken = async (stage: Stage, amount: number, begin: () => void | Promise<void>, judged = false) => {
  const before = await stored(stage)
  const began = performance.now()
  await begin()
  let storedAfter: number | undefined
  for (;;) {
    const now = await stored(stage)
    const seconds = (performance.now() - began) / 1000
    if (now.stored - before.stored >= amount) {
      storedAfter ??= seconds
      if (now.reached === now.head && (!judged || now.alerts > before.alerts))
        return { stored: storedAfter, derived: seconds }
    }
    if (seconds > 600)
      throw new Error(`Only ${now.stored - before.stored} of ${amount} readings were stored in ten minutes`)
    await sleep(5)
  }
}

/**
 * One turn of the city: a backlog at Mosquitto, drained. `count` is no multiple of the devices: the last message is alarming, and of another device
 * each time. Readings a second and milliseconds of CPU a reading. */
export const drainOurs = async (stage: Stage, count: number): Promise<Sample> => {
  const { brokerPort, ours, publish, sending } = stage
  ours.halt()
  await publish({ port: brokerPort, prefix: "ours/", count, alarmLast: true })
  const amount = count * sending.values
  const { database, done, server } = await costOf(stage, ours.pid, () => untilTaken(stage, amount, ours.resume, true))
  // The last acknowledgements are on their way.
  await sleep(200)
  return {
    stored: amount / done.stored,
    derived: amount / done.derived,
    server: server / amount,
    database: database / amount
  }
}

/** A drain of whoever tells by messages how many it has committed: a turn of `count` messages. */
export const drainTeller = (prefix: string, childOf: (stage: Stage) => Child<unknown>) => {
  let taken = 0
  return async (stage: Stage, count: number): Promise<Sample> => {
    const { brokerPort, publish, sending } = stage
    const child = childOf(stage)
    child.halt()
    await publish({ port: brokerPort, prefix, count })
    const amount = count * sending.values
    const { database, done, server } = await costOf(
      stage,
      child.pid,
      () =>
        new Promise<number>((resolve) => {
          const began = performance.now()
          const target = taken + count
          const off = child.on((message) => {
            const { committed } = message as { readonly committed: number }
            taken = committed
            if (committed >= target) {
              off()
              resolve((performance.now() - began) / 1000)
            }
          })
          child.resume()
        })
    )
    await sleep(200)
    return { stored: amount / done, derived: amount / done, server: server / amount, database: database / amount }
  }
}

export const drainFloor = drainTeller("floor/", ({ floor }) => floor)
