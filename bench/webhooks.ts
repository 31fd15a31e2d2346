/**
 * Webhooks: events of a backlog delivered to fast receivers, from the event order to the attempt written down, beside bare signed posts over kept
 * connections with nothing stored; then what a thousand dead endpoints (a third hangs, a third answers 500, at a third nobody listens) cost the one that
 * lives. Arguments: `--rounds=9`, `--deliveries=10000` a turn, `--endpoints=20`, `--dead=1000`, `--seconds=10` a turn of the second part, `--warm=60`,
 * `--only=drain|dead`, `--profile=FOLDER`.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { freshDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import pg from "pg"
import { cpuOf } from "./http/processes.ts"
import { figure, interleave, quantile, report, type Sample } from "./measure.ts"
import { type Child, startChild } from "./telemetry/children.ts"
import { numberOf, profiling } from "./telemetry/stage.ts"
import type { Count } from "./webhooks/receiver.ts"

const fill = `
  with made as (
    insert into mahalla.event (tenant_id, id, type, payload, occurred_at)
    select $1::uuid, uuidv7(), $2, '{"from":"in-review","to":"accepted"}', now() from generate_series(1, $3::int)
    returning id),
  head as (
    insert into mahalla.event_head as head (tenant_id, position) values ($1::uuid, $3::int)
    on conflict (tenant_id) do update set position = head.position + $3::int returning position)
  insert into mahalla.event_order (tenant_id, position, event_id)
  select $1::uuid, head.position - $3::int + row_number() over (order by id), id from made, head`

/** As long as one of ours. */
const body = JSON.stringify({ specversion: "1.0", filler: "x".repeat(280) })

interface Stage {
  readonly ours: Child<{ readonly tenantId: string }>
  readonly floor: Child<unknown>
  readonly receiver: Child<{ readonly port: number }>
  readonly postmaster: number
  readonly sql: (text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<pg.QueryResultRow>>
}

const onStage = async (flags: ReadonlyArray<string>, work: (stage: Stage) => Promise<void>) => {
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const children: Array<Child<unknown>> = []
  const play = Effect.gen(function* () {
    const { admin, pid } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const database = yield* freshDatabase(Redacted.value(admin))
    const postmaster = yield* pid
    yield* Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(database.admin) })
      client.on("error", () => {})
      await client.connect()
      const home = join(folder, "home")
      await mkdir(home)
      const kept = <Ready>(child: Child<Ready>) => {
        children.push(child)
        return child
      }
      try {
        const receiver = kept(await startChild<{ port: number }>("../webhooks/receiver.ts"))
        const floor = kept(await startChild("../webhooks/floor.ts"))
        const given = { databaseUrl: Redacted.value(database.owner), home }
        const ours = kept(await startChild<{ tenantId: string }>("../webhooks/ours.ts", given, flags))
        const sql: Stage["sql"] = async (text, values = []) => (await client.query(text, [...values])).rows
        await work({ ours, floor, receiver, postmaster, sql })
      } finally {
        for (const child of children.toReversed()) await child.stop()
        await client.end()
      }
    })
  })
  await Effect.runPromise(Effect.scoped(play)).finally(() => rm(folder, { recursive: true, force: true }))
}

const countOf = ({ receiver }: Stage, what: "count" | "reset" = "count") => receiver.ask<Count>({ what })

/** Until so many have come and are written down; deliveries a second between the first and the last. */
const drained = async (stage: Stage, amount: number, begin: () => Promise<unknown>) => {
  await countOf(stage, "reset")
  await begin()
  for (;;) {
    const { first, last, taken } = await countOf(stage)
    if (taken >= amount) return taken / ((last - first) / 1000)
    await sleep(20)
  }
}

const written = async ({ sql }: Stage) => {
  for (;;) {
    const [row] = await sql("select count(*)::int as left from mahalla.webhook_message where state = 'waiting'")
    if (row!["left"] === 0) return
    await sleep(20)
  }
}

/** Every event goes to every endpoint. */
const drain = async (stage: Stage, args: ReadonlyArray<string>) => {
  const { ours, postmaster, receiver, sql } = stage
  const deliveries = numberOf(args, "deliveries", 10_000)
  const endpoints = numberOf(args, "endpoints", 20)
  const base = `http://127.0.0.1:${receiver.ready.port}`
  const groups = { many: endpoints, one: 1 }
  for (const [name, amount] of Object.entries(groups)) {
    const urls = Array.from({ length: amount }, (_, place) => `${base}/${name}/${place}`)
    await ours.ask({ what: "endpoints", urls, type: `bench.${name}` })
  }
  const turn = (name: keyof typeof groups) => async (): Promise<Sample> => {
    const events = Math.round(deliveries / groups[name])
    const amount = events * groups[name]
    const [city, database] = await Promise.all([cpuOf(ours.pid), cpuOf(postmaster)])
    const rate = await drained(stage, amount, () => sql(fill, [ours.ready.tenantId, `bench.${name}`, events]))
    await written(stage)
    const [cityThen, databaseThen] = await Promise.all([cpuOf(ours.pid), cpuOf(postmaster)])
    return { rate, city: (cityThen - city) / amount, database: (databaseThen - database) / amount }
  }
  const floor = async (): Promise<Sample> => {
    const posts = { url: `${base}/floor`, amount: deliveries, atOnce: 64, body }
    return { rate: await drained(stage, deliveries, () => stage.floor.ask(posts)) }
  }
  await turn("many")()
  await turn("one")()
  await floor()
  const samples = await interleave({ many: turn("many"), one: turn("one"), floor }, numberOf(args, "rounds", 9))
  const against = "bare signed posts over kept connections, nothing stored"
  for (const [name, amount] of Object.entries(groups) as ReadonlyArray<readonly ["many" | "one", number]>) {
    const of = (metric: string) =>
      quantile(
        samples[name].map((sample) => sample[metric] ?? Number.NaN),
        0.5
      )
    report({
      ...{ bench: "webhooks", metric: "rate", unit: `deliveries/s to ${amount}`, against },
      ...{ ours: samples[name], floor: samples.floor }
    })
    figure("webhooks", `CPU of the city for a delivery to ${amount}`, "ms", of("city"))
    figure("webhooks", `CPU of PostgreSQL for a delivery to ${amount}`, "ms", of("database"))
  }
}

/** Latency of one endpoint, from before its event is written to its arrival; the others have a backlog and sleep, or do not. */
const dead = async (stage: Stage, args: ReadonlyArray<string>) => {
  const { ours, receiver, sql } = stage
  const amount = numberOf(args, "dead", 1_000)
  const seconds = numberOf(args, "seconds", 10)
  const base = `http://127.0.0.1:${receiver.ready.port}`
  await ours.ask({ what: "endpoints", urls: [`${base}/live`], type: "bench.live" })
  // Port 9 (discard) has no listener here.
  const ways = [`${base}/dead/hang`, `${base}/dead/500`, "http://127.0.0.1:9/dead"]
  const urls = Array.from({ length: amount }, (_, place) => `${ways[place % 3]}/${place}`)
  await ours.ask({ what: "endpoints", urls, type: "bench.dead" })
  const backlog = 20
  await sql(fill, [ours.ready.tenantId, "bench.dead", backlog])
  const sleeping = async (asleep: boolean) => {
    await sql("update mahalla.webhook_endpoint set status = $1 where 'bench.dead' = any (types)", [
      asleep ? "paused" : "active"
    ])
    await sql(
      `update mahalla.webhook_lane set due_at = case when $1 then null else greatest(now(), rest_until) end
       where endpoint_id in (select id from mahalla.webhook_endpoint where 'bench.dead' = any (types))`,
      [asleep]
    )
    // What is under way has its 15 seconds.
    if (asleep) await sleep(16_000)
  }
  const turn = (asleep: boolean) => async (): Promise<Sample> => {
    await sleeping(asleep)
    await receiver.ask({ what: "reset" })
    const pace = { what: "pace", type: "bench.live", amount: seconds * 50, every: 20 }
    const { sent } = await ours.ask<{ sent: ReadonlyArray<readonly [string, number]> }>(pace)
    await sleep(1_500)
    const { came } = await receiver.ask<{ came: ReadonlyArray<readonly [string, number]> }>({ what: "came" })
    const arrived = new Map(came)
    const took = sent.map(([id, at]) => (arrived.get(id) ?? Number.NaN) - at)
    if (took.some(Number.isNaN)) throw new Error("Not all arrived")
    return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) }
  }
  await sleeping(false)
  // Until they have been dead for a while.
  await sleep(numberOf(args, "warm", 60) * 1_000)
  const [tried] = await sql(
    "select count(distinct endpoint_id)::int as endpoints, count(*)::int as attempts from mahalla.webhook_attempt where not delivered"
  )
  console.error(JSON.stringify(tried))
  const samples = await interleave({ among: turn(false), alone: turn(true) }, numberOf(args, "rounds", 9))
  const compare = { bench: "webhooks", unit: "ms", ours: samples.among, floor: samples.alone, better: "lower" } as const
  for (const metric of ["p50", "p99"])
    report({ ...compare, metric, against: `the same endpoint without ${amount} dead ones` })
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const only = args.find((arg) => arg.startsWith("--only="))?.split("=")[1]
  if (only !== "dead") await onStage(profiling(args), (stage) => drain(stage, args))
  if (only !== "drain") await onStage(profiling(args), (stage) => dead(stage, args))
}
