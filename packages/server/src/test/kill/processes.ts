/** The two things that are killed: the city's process, and the PostgreSQL beside it with all its children. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import pg from "pg"
import type { Answer, Question } from "./talk.ts"

export const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

export interface CityProcess {
  readonly pid: number
  readonly url: string
  readonly ask: <Kind extends Question["ask"]>(
    ask: Kind
  ) => Promise<Extract<Answer, { readonly [K in Kind]: unknown }>[Kind]>
  /** `kill -9`, and nothing of it is left when this resolves. */
  readonly kill: () => Promise<void>
  /** SIGTERM; the exit code. */
  readonly stop: () => Promise<number | null>
}

export interface StartOptions {
  readonly home: string
  readonly port: number
  readonly seed: number
  readonly media: "stand-in" | "real"
  /** Default: its own embedded PostgreSQL. */
  readonly databaseUrl?: string
  /** Hears of the process before it is ready, for those who kill it earlier. */
  readonly onSpawn?: (child: ChildProcess) => void
}

/** Starts a city; undefined when it was killed before it was ready. */
export const startCity = async (options: StartOptions): Promise<CityProcess | undefined> => {
  const temporary = join(options.home, "tmp")
  mkdirSync(temporary, { recursive: true })
  const log = createWriteStream(join(options.home, "city.log"), { flags: "a" })
  const child = spawn(
    process.execPath,
    ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning", join(import.meta.dirname, "run.ts")],
    {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: {
        ...process.env,
        TMPDIR: temporary,
        KILL_HOME: options.home,
        KILL_PORT: String(options.port),
        KILL_SEED: String(options.seed),
        KILL_MEDIA: options.media,
        ...(options.databaseUrl === undefined ? {} : { KILL_DATABASE_URL: options.databaseUrl })
      }
    }
  )
  child.stdout?.pipe(log, { end: false })
  child.stderr?.pipe(log, { end: false })
  const gone = new Promise<number | null>((resolve) =>
    child.once("exit", (code) => {
      log.end()
      resolve(code)
    })
  )
  options.onSpawn?.(child)
  const ready = new Promise<string>((resolve) =>
    child.on("message", (answer: Answer) => {
      if ("ready" in answer) resolve(answer.ready.url)
    })
  )
  const first = await Promise.race([ready, gone.then((code) => ({ code }))])
  if (typeof first !== "string") {
    if (child.signalCode === "SIGKILL") return undefined
    throw new Error(
      `The city did not start, it ended with ${first.code}:\n${readFileSync(join(options.home, "city.log"), "utf8").slice(-4000)}`
    )
  }
  return {
    pid: child.pid ?? 0,
    url: first,
    ask: (ask) =>
      new Promise((resolve, reject) => {
        const hear = (answer: Answer) => {
          if (!(ask in answer)) return
          child.off("message", hear)
          resolve((answer as unknown as Record<string, never>)[ask] as never)
        }
        child.on("message", hear)
        child.send({ ask }, (error) => (error === null ? undefined : reject(error)))
        setTimeout(() => reject(new Error(`The city did not answer ${ask}`)), 20_000).unref()
      }),
    kill: async () => {
      child.kill("SIGKILL")
      await gone
    },
    stop: () => {
      child.kill("SIGTERM")
      return gone
    }
  }
}

/** A database as its superuser sees it; a lost connection is opened again. */
const superuser = (address: () => pg.ClientConfig) => {
  let client: pg.Client | undefined
  const connected = async () => {
    if (client !== undefined) return client
    const made = new pg.Client({ ...address(), application_name: "kill-test" })
    made.on("error", () => (client = undefined))
    await made.connect()
    return (client = made)
  }
  const close = async () => {
    await client?.end().catch(() => undefined)
    client = undefined
  }
  const query = async <Row>(text: string, values: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<Row>> => {
    for (let tries = 0; ; tries++) {
      try {
        const found = await (await connected()).query(text, [...values])
        return found.rows as ReadonlyArray<Row>
      } catch (error) {
        await close()
        if (tries > 100 || /^(42|22|23)/.test(String((error as { code?: string }).code))) throw error
        await pause(100)
      }
    }
  }
  return { query, close }
}

/** What the checks ask. */
export type Asked = ReturnType<typeof superuser>

/** Somebody else's PostgreSQL, by a superuser's address. */
export const databaseAt = (url: string): Asked => superuser(() => ({ connectionString: url }))

/** The city's embedded PostgreSQL. */
export const databaseOf = (home: string) => {
  const folder = join(home, "plugins", "mahalla-postgres", "postgres")
  const pidFile = () => {
    try {
      return readFileSync(join(folder, "postmaster.pid"), "utf8").split("\n")
    } catch {
      // There is none before a start, nor in the moment in which a start takes the old one away.
      return []
    }
  }
  return {
    ...superuser(() => {
      const { admin, port } = JSON.parse(readFileSync(`${folder}.json`, "utf8")) as { admin: string; port: number }
      return { host: "127.0.0.1", port, user: "postgres", password: admin, database: "mahalla" }
    }),
    /** The postmaster's process id once it is ready. */
    pid: (): number | undefined => (pidFile()[7]?.trim() === "ready" ? Number(pidFile()[0]) : undefined),
    /** `kill -9` of the postmaster and of all its children. Returns how many processes that were. */
    kill: (): number => {
      const postmaster = Number(pidFile()[0])
      const children = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s+/).map(Number))
        .filter(([, parent]) => parent === postmaster)
        .map(([pid]) => pid ?? 0)
      for (const pid of [postmaster, ...children]) {
        try {
          process.kill(pid, "SIGKILL")
        } catch {
          // It ended by itself in the meantime.
        }
      }
      return children.length + 1
    }
  }
}

export type CityDatabase = ReturnType<typeof databaseOf>

/** For tests that only need it to be over. */
export const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode === null && child.signalCode === null ? once(child, "exit") : Promise.resolve()
