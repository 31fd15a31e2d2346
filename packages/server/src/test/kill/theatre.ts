/** A town with people in it who go on whatever happens to its server, and the reckoning when everything is quiet. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ensureProgram } from "../../../../../scripts/services/debian.ts"
import * as checks from "./checks.ts"
import { Town } from "./client.ts"
import { type Feed, watchFeed } from "./feed.ts"
import { citizen, inspector, noRecords, signInStaff } from "./load.ts"
import { type Asked, type CityProcess, pause, startCity } from "./processes.ts"

export interface TheatreOptions {
  readonly home: string
  readonly database: Asked
  /** Default: the city's embedded PostgreSQL. */
  readonly databaseUrl?: string
}

/** Reports under way at most, so that a slow machine is not buried. */
const crowd = 40

export const openTheatre = async ({ database, databaseUrl, home }: TheatreOptions) => {
  const ffmpeg = await ensureProgram("ffmpeg")
  const draw = (name: string, ...args: ReadonlyArray<string>) => {
    const file = join(home, name)
    execFileSync(ffmpeg, ["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", ...args, file])
    return readFileSync(file)
  }
  const picture = draw("picture.jpg", "testsrc=size=320x240", "-frames:v", "1")
  const clip = draw("clip.mp4", "testsrc=size=640x360:rate=15", "-t", "2", "-pix_fmt", "yuv420p")

  const town = new Town()
  const records = noRecords()
  const staff = { admin: "", inspector: "" }
  const feed: Feed = { last: 0, breaks: 0, wrong: [], types: new Map() }
  const special: Array<Buffer> = []
  const tally = { starts: 0, stillborn: 0 }
  let server: CityProcess | undefined
  let port = 0
  let media: "stand-in" | "real" = "stand-in"
  let signedIn = -Infinity
  let reporting = true
  let watching = true
  let decided = 0

  const signIn = async () => {
    Object.assign(staff, await signInStaff(town, await server!.ask("links")))
    signedIn = performance.now()
  }
  const start = async () => {
    for (;;) {
      // Now and then the newborn is killed too.
      const killAt = server !== undefined && Math.random() < 0.15 ? Math.random() * 4_000 : undefined
      tally.starts++
      server = await startCity({
        home,
        port,
        seed: 7,
        media,
        ...(databaseUrl === undefined ? {} : { databaseUrl }),
        onSpawn: (child) => {
          if (killAt !== undefined) setTimeout(() => server?.pid !== child.pid && child.kill("SIGKILL"), killAt)
        }
      })
      if (server !== undefined) break
      tally.stillborn++
    }
    town.url = server.url
    port = Number(new URL(server.url).port)
    town.open = true
    if (performance.now() - signedIn > 300_000) await signIn()
  }
  await start()

  const counting = async () => {
    while (watching) {
      const [row] = await database.query<{ amount: number }>(
        "select count(*)::int as amount from mahalla.civic_case where type = 'traffic-report' and state = 'decided'"
      )
      decided = row?.amount ?? decided
      await pause(500)
    }
  }
  const citizens = Array.from({ length: 4 }, () =>
    citizen({
      town,
      records,
      staff,
      picture,
      special,
      running: () => reporting,
      room: () => records.reports.length - decided < crowd
    })
  )
  const everybody = Promise.all([
    ...citizens,
    inspector({ town, records, staff, running: () => watching }),
    watchFeed(town, staff, () => watching, feed),
    counting()
  ])
  let files: ReadonlyArray<string> = ["nobody looked at the files"]
  /** A surprise of one of the people ends the test at once, wherever it is. */
  const during = <A>(work: Promise<A>): Promise<A> => Promise.race([work, everybody.then(() => work)])

  return {
    town,
    records,
    feed,
    staff,
    tally,
    during,
    server: () => server!,
    start,
    media: () => media,
    /** Ends the server and starts it with the other encoder and detector. */
    changeMedia: async (next: typeof media) => {
      media = next
      town.open = false
      await server!.kill()
      await start()
      if (media === "real") special.push(clip, clip, clip)
    },
    acknowledged: () => records.uploads.length + records.reports.length + records.accepted.size,
    /** Lets everything end; fails with what does not. */
    quiet: async (milliseconds: number) => {
      reporting = false
      await during(Promise.all(citizens))
      await signIn()
      await during(checks.quiet(database, records, milliseconds))
      // Who reads originals leaves events, which belong to the order that is looked at afterwards.
      files = [
        ...(await during(checks.checkUploads(town, staff, records))),
        ...(await during(checks.checkCopies(town, staff, database)))
      ]
      await during(checks.quiet(database, records, milliseconds))
      const [head] = await database.query<{ position: string }>("select position::text from mahalla.event_head")
      for (let waited = 0; feed.last < Number(head?.position) && waited < 10_000; waited += 50) await pause(50)
      watching = false
      await everybody
    },
    /** Whatever is not as it was promised, in words. */
    reckoning: async (): Promise<ReadonlyArray<string>> => [
      ...town.surprises,
      ...files,
      ...(await checks.checkReports(database, records)),
      ...(await checks.checkRewards(database, home, records)),
      ...(await server!.ask("unbalanced")).map((account) => `unbalanced: ${JSON.stringify(account)}`),
      ...(await checks.checkOrder(database)),
      ...(await checks.checkWitness(database)),
      ...(await checks.checkFeed(town, staff, feed)),
      ...(await checks.checkMessages(database, home)),
      ...(await checks.checkLog(town, staff, database, home))
    ],
    summary: async (): Promise<string> => {
      const effects = Object.values(await checks.effectsOf(home))
      return (
        `${records.uploads.length} uploads (resumed ${records.resumed} times), ${records.reports.length} reports, ${records.accepted.size} accepted; ` +
        `${effects.length} payments sent ${effects.reduce((sum, { asked }) => sum + asked, 0)} times; ${feed.last} events; ` +
        `${records.committedUnanswered} answers repeated whose commit had not been answered; ${tally.stillborn} newborn servers killed`
      )
    },
    close: async (): Promise<number | null | undefined> => {
      const code = await server?.stop()
      server = undefined
      return code
    }
  }
}
