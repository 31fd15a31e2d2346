/** One round: wait for the moment, kill, look what was hit, start again. A round without a proven hit is not one. */
import type { Flight, Town } from "./client.ts"
import { type CityDatabase, type CityProcess, pause } from "./processes.ts"

/** What the round waits for before it strikes; `any`: a random moment. */
export type Aim = "any" | "upload" | "submit" | "decide" | "encode" | "pay"
export type Target = "server" | "postgres"

/**
 * What was under way when the fault struck. From outside: requests whose answer never came, by their phase. From inside: jobs that the killed
 * process held by a lease, by their topic; payments sent or about to be; transactions open in the killed database.
 */
export type Hit =
  | `request ${Flight["phase"]}`
  | "job encode"
  | "job detect"
  | "job pay"
  | "job notify"
  | "job other"
  | "payment under way"
  | "transaction"

export interface Strike {
  readonly target: Target
  readonly aim: Aim
  readonly media: "stand-in" | "real"
  readonly hits: ReadonlyMap<Hit, number>
  /** Processes that were killed. */
  readonly killed: number
  /** Milliseconds from the kill until work was possible again. */
  recovery: number
}

const topics: Readonly<Record<string, Hit>> = {
  "reports.process": "job encode",
  "reports.detect": "job detect",
  "payouts.pay": "job pay",
  "notifications.send": "job notify"
}

const random = (from: number, to: number) => from + Math.random() * (to - from)

/** Jobs that this process holds, by topic. */
const leasedBy = (database: CityDatabase, pid: number) =>
  database.query<{ topic: string; amount: number }>(
    `select topic, count(*)::int as amount from mahalla.job
     where state = 'ready' and lease_until > now() and worker like '%:' || $1 || ':%' group by topic`,
    [String(pid)]
  )

const submitting = async (database: CityDatabase) =>
  (
    await database.query<{ amount: number }>(
      "select count(*)::int as amount from mahalla.payout where state = 'submitting'"
    )
  )[0]?.amount ?? 0

/** Until the aim is in sight, at most ten seconds; then a little on, so that not always the same point is hit. */
const aimed = async (aim: Aim, town: Town, server: CityProcess, database: CityDatabase): Promise<void> => {
  const end = performance.now() + 10_000
  const flying = (phase: Flight["phase"]) => [...town.flights].some((flight) => flight.phase === phase)
  while (performance.now() < end) {
    if (aim === "any") return pause(random(0, 3_000))
    if (aim === "encode") {
      const held = await leasedBy(database, server.pid)
      if (held.some(({ topic }) => topic === "reports.process" || topic === "reports.detect"))
        return pause(random(0, 60))
      await pause(5)
    } else if (aim === "pay") {
      if ((await submitting(database)) > 0) return pause(random(0, 10))
    } else {
      if (flying(aim)) return pause(random(0, 6))
      await pause(1)
    }
  }
}

export interface Battlefield {
  readonly town: Town
  readonly database: CityDatabase
  readonly server: () => CityProcess
  /** Whatever was acknowledged so far; grows while there is load. */
  readonly acknowledged: () => number
  /** Starts the city again after its process was killed. */
  readonly restart: () => Promise<void>
}

/** Until the city does work again: it says so, and answers requests that need the database. */
const working = async (town: Town): Promise<void> => {
  const end = performance.now() + 60_000
  for (;;) {
    const said = await fetch(`${town.url}/health/ready`).then(
      ({ status }) => status,
      () => 0
    )
    if (said === 200) break
    if (performance.now() > end) throw new Error("The city was not ready 60 seconds after the kill")
    await pause(50)
  }
  const before = town.answered
  while (town.answered < before + 3) {
    if (performance.now() > end) throw new Error("The city answered nothing 60 seconds after the kill")
    await pause(20)
  }
}

/** Until the load runs again, or five seconds. */
const warm = async ({ acknowledged }: Battlefield) => {
  const before = acknowledged()
  for (let waited = 0; acknowledged() < before + 6 && waited < 5_000; waited += 20) await pause(20)
}

const settled = async (flights: ReadonlyArray<Flight>) => {
  const end = performance.now() + 65_000
  while (flights.some((flight) => flight.outcome === undefined) && performance.now() < end) await pause(5)
}

/** Strikes once. The caller counts the round when `hits` is not empty. */
export const strike = async (field: Battlefield, target: Target, aim: Aim, media: Strike["media"]): Promise<Strike> => {
  const { database, town } = field
  const server = field.server()
  await warm(field)
  await aimed(aim, town, server, database)
  const hits = new Map<Hit, number>()
  const count = (hit: Hit, amount: number) => amount > 0 && hits.set(hit, (hits.get(hit) ?? 0) + amount)
  const lookInside = async () => {
    for (const { amount, topic } of await leasedBy(database, server.pid)) count(topics[topic] ?? "job other", amount)
    count("payment under way", await submitting(database))
  }
  let killed = 1
  let flights: ReadonlyArray<Flight>
  const began = performance.now()
  if (target === "server") {
    flights = [...town.flights]
    town.open = false
    await server.kill()
    await settled(flights)
    // The database has survived and tells what its client left behind.
    await lookInside()
    await field.restart()
  } else {
    await lookInside()
    const [open] = await database.query<{ amount: number }>(
      "select count(*)::int as amount from pg_stat_activity where application_name like 'mahalla-%' and xact_start is not null"
    )
    flights = [...town.flights]
    const old = database.pid()
    count("transaction", open?.amount ?? 0)
    killed = database.kill()
    while (database.pid() === undefined || database.pid() === old) {
      if (performance.now() - began > 60_000) throw new Error("PostgreSQL was not started again within 60 seconds")
      await pause(10)
    }
    await settled(flights)
  }
  for (const { outcome, phase } of flights)
    if (outcome === "broken" || outcome === "refused") count(`request ${phase}`, 1)
  await working(town)
  return { target, aim, media, hits, killed, recovery: performance.now() - began }
}

/** What was hit how often, for people. */
export const tableOf = (strikes: ReadonlyArray<Strike>): string => {
  const names = [...new Set(strikes.flatMap(({ hits }) => [...hits.keys()]))].sort()
  const line = (name: string, server: string, postgres: string) =>
    `${name.padEnd(26)}${server.padStart(14)}${postgres.padStart(16)}`
  const rows = names.map((name) => {
    const of = (target: Target) => {
      const struck = strikes.filter((one) => one.target === target && one.hits.has(name))
      const sum = struck.reduce((total, { hits }) => total + (hits.get(name) ?? 0), 0)
      return struck.length === 0 ? "–" : `${struck.length} (${sum})`
    }
    return line(name, of("server"), of("postgres"))
  })
  const worst = (target: Target) => {
    const times = strikes.filter((one) => one.target === target).map(({ recovery }) => recovery)
    return times.length === 0 ? "–" : `${(Math.max(...times) / 1000).toFixed(1)} s`
  }
  const rounds = (target: Target) => String(strikes.filter((one) => one.target === target).length)
  return [
    line("hit in rounds (times)", "server killed", "database killed"),
    ...rows,
    line("rounds", rounds("server"), rounds("postgres")),
    line("of them real media", String(strikes.filter(({ media }) => media === "real").length), ""),
    line("longest until working", worst("server"), worst("postgres"))
  ].join("\n")
}
