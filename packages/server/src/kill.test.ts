/**
 * The kill test: `kill -9` of the server, and of PostgreSQL with all its children, at random moments under load; and commits whose answers get
 * lost. What was acknowledged is there afterwards, what may happen once has happened once. `MAHALLA_SOAK=1` runs 100 and 20 rounds.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase, lossyLine } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterEach, expect, inject, it } from "vitest"
import * as checks from "./test/kill/checks.ts"
import { databaseAt, databaseOf, pause } from "./test/kill/processes.ts"
import { type Aim, strike, type Strike, tableOf, type Target } from "./test/kill/strike.ts"
import { openTheatre } from "./test/kill/theatre.ts"

const soak = process.env["MAHALLA_SOAK"] === "1"
/** Of the server and of PostgreSQL; `MAHALLA_KILL_ROUNDS=20,5` runs as many as that. */
const [serverRounds = 3, postgresRounds = 1] = (process.env["MAHALLA_KILL_ROUNDS"] ?? (soak ? "100,20" : "3,1"))
  .split(",")
  .map(Number)
const rounds = { server: serverRounds, postgres: postgresRounds }
const longRun = soak || rounds.server > 4

const cleanUp: Array<() => unknown> = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step()
}, 60_000)

const newHome = () => {
  const home = mkdtempSync(join(tmpdir(), "mahalla-kill-"))
  cleanUp.push(() =>
    process.env["KILL_KEEP"] === undefined ? rmSync(home, { recursive: true, force: true }) : undefined
  )
  return home
}

interface Round {
  readonly target: Target
  readonly aim: Aim
  readonly media: Strike["media"]
}

/** Every phase is aimed at, half of the rounds at random; the database's rounds are spread among the server's. */
const plan = (): ReadonlyArray<Round> => {
  const aims: ReadonlyArray<Aim> = ["encode", "pay", "any", "submit", "any", "upload", "any", "decide", "any", "any"]
  const server = Array.from({ length: rounds.server }, (_, at): Round => ({
    target: "server",
    aim: aims[at % aims.length] ?? "any",
    media: at % 10 === 0 ? "real" : "stand-in"
  }))
  const every = Math.max(1, Math.floor(rounds.server / rounds.postgres))
  const database = Array.from({ length: rounds.postgres }, (_, at): Round => ({
    target: "postgres",
    aim: (["submit", "pay", "any", "encode", "any"] as const)[at % 5] ?? "any",
    media: "stand-in"
  }))
  return server.flatMap((round, at) => [
    round,
    ...((at + 1) % every === 0 ? database.slice((at + 1) / every - 1, (at + 1) / every) : [])
  ])
}

const told = ({ aim, hits, media, recovery, target }: Strike) =>
  `${target}, aim ${aim}, ${media}: ${[...hits].map(([hit, times]) => `${hit} ${times}`).join(", ")}; working after ${(recovery / 1000).toFixed(1)} s`

it(
  "keeps_every_promise_over_kills_of_server_and_database_at_random_moments",
  async () => {
    const home = newHome()
    const database = databaseOf(home)
    cleanUp.push(database.close)
    const theatre = await openTheatre({ home, database })
    cleanUp.push(theatre.close)
    const { acknowledged, records, server, start, town } = theatre

    const strikes: Array<Strike> = []
    let misses = 0
    for (const round of plan()) {
      for (;;) {
        if (round.target === "server" && round.media !== theatre.media()) await theatre.changeMedia(round.media)
        const field = { town, database, server, restart: start, acknowledged }
        const struck = await theatre.during(strike(field, round.target, round.aim, theatre.media()))
        if (struck.hits.size > 0) {
          strikes.push(struck)
          console.log(
            `${strikes.length}. ${told(struck)}; ${records.reports.length} reports, ${records.accepted.size} accepted`
          )
          break
        }
        // A round that hit nothing proves nothing.
        if (++misses > 3 * rounds.server) throw new Error("Too many rounds in which nothing was hit")
      }
    }
    await theatre.quiet(longRun ? 600_000 : 150_000)
    expect(await theatre.reckoning()).toEqual([])
    expect(strikes.filter(({ target }) => target === "server")).toHaveLength(rounds.server)
    expect(strikes.filter(({ target }) => target === "postgres")).toHaveLength(rounds.postgres)
    console.log(`${tableOf(strikes)}\n${await theatre.summary()}; ${misses} rounds without a hit repeated`)
    // Work folders of killed processes go an hour later; a running one leaves none.
    const left = readdirSync(join(home, "tmp")).filter((name) => name.startsWith("mahalla-report-"))
    expect(left.length).toBeLessThanOrEqual(2 * theatre.tally.starts)

    // The checks see what they are for.
    await database.query(
      "delete from mahalla.kill_witness where seen = (select max(seen) - 3 from mahalla.kill_witness)"
    )
    expect(await checks.checkWitness(database)).toHaveLength(1)
    await checks.payByHand(home)
    expect(await checks.checkRewards(database, home, records)).toHaveLength(1)
    await database.query(`update mahalla.civic_case set data = data || '{"description":"another"}' where id = $1`, [
      records.reports[0]?.id
    ])
    expect(await checks.checkReports(database, records)).toHaveLength(1)
    await database.query(
      `update mahalla.event set payload = payload || '{"changed":true}'
       where id = (select event_id from mahalla.event_order where position = 7)`
    )
    expect(await checks.checkLog(theatre.town, theatre.staff, database, home)).toEqual([
      expect.stringContaining("changed-leaf at position 7")
    ])
    await database.query(
      "update mahalla.event_order set position = position + 1 where position = (select max(position) from mahalla.event_order)"
    )
    expect(await checks.checkOrder(database)).not.toEqual([])
    expect(await theatre.close()).toBe(0)
  },
  longRun ? 4 * 3_600_000 : 600_000
)

it(
  "keeps_every_promise_when_the_answers_to_commits_get_lost",
  async () => {
    const scope = Scope.makeUnsafe()
    cleanUp.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const { admin, owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
    const line = await Effect.runPromise(Scope.provide(lossyLine(Redacted.value(owner)), scope))
    const database = databaseAt(Redacted.value(admin))
    cleanUp.push(database.close)
    const home = newHome()
    const theatre = await openTheatre({ home, database, databaseUrl: line.url })
    cleanUp.push(theatre.close)
    line.lose(0.1)
    const least = soak ? { lost: 1_000, repeated: 20 } : { lost: 25, repeated: 1 }
    const enough = () => line.lost() >= least.lost && theatre.records.committedUnanswered >= least.repeated
    const end = performance.now() + (soak ? 1_800_000 : 240_000)
    while (!enough() && performance.now() < end) await theatre.during(pause(100))
    line.lose(0)
    const lost = line.lost()
    await theatre.quiet(soak ? 300_000 : 120_000)
    expect(await theatre.reckoning()).toEqual([])
    expect(lost).toBeGreaterThanOrEqual(least.lost)
    expect(theatre.records.committedUnanswered).toBeGreaterThanOrEqual(least.repeated)
    console.log(`${lost} commits without an answer; ${await theatre.summary()}`)
    expect(await theatre.close()).toBe(0)
  },
  soak ? 3_600_000 : 600_000
)
